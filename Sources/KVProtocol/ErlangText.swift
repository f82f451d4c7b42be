import KVBase

/// The printed form of the terms that appear in error texts, as clients compare them.
enum ErlangText {
  /// A binary: `<<"text">>`, or `<<1,2,3>>` when it is not printable.
  static func binary(_ bytes: Bytes) -> String {
    guard bytes.allSatisfy({ (32...126).contains($0) }) else {
      return "<<\(bytes.map { String($0) }.joined(separator: ","))>>"
    }
    return "<<\(quoted(String(decoding: bytes, as: UTF8.self)))>>"
  }

  /// A string in quotation marks.
  static func quoted(_ text: String) -> String {
    var result = "\""
    for character in text {
      if character == "\"" || character == "\\" { result.append("\\") }
      result.append(character)
    }
    return result + "\""
  }
}
