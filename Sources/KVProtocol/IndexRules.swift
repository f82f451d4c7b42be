package import KVBase
package import KVModel

/// What a secondary index entry may look like, and its one normal form.
///
/// **Source**: reference sections 1.3 and 1.9.
package enum IndexRules {
  /// Lower-cases names, brings integers to their shortest decimal form, sorts, and drops repeated
  /// entries.
  ///
  /// - Throws: `{precommit_fail,[…]}` naming each entry with an unknown suffix or a bad integer.
  package static func normalized(_ entries: [Pair]) throws(ProtocolFailure) -> [Pair] {
    var problems: [String] = []
    var result: Set<Pair> = []
    for entry in entries {
      let name = entry.key.map { (65...90).contains($0) ? $0 + 32 : $0 }
      var term = entry.value ?? []
      if hasSuffix(name, "_int") {
        guard let integer = shortestInteger(term) else {
          problems.append(
            "{field_parsing_failed,{\(ErlangText.binary(name)),\(ErlangText.binary(term))}}")
          continue
        }
        term = integer
      } else if !hasSuffix(name, "_bin") {
        problems.append("{unknown_field_type,\(ErlangText.binary(name))}")
        continue
      }
      result.insert(Pair(key: name, value: term))
    }
    guard problems.isEmpty else {
      throw .refused("{precommit_fail,[\(problems.joined(separator: ","))]}")
    }
    return result.sorted()
  }

  /// True for a name that says what its terms are.
  package static func isIndex(_ name: Bytes) -> Bool {
    hasSuffix(name, "_int") || hasSuffix(name, "_bin")
  }

  private static func hasSuffix(_ name: Bytes, _ suffix: String) -> Bool {
    name.count >= suffix.utf8.count && name.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
  }

  /// The shortest decimal form of an integer of any size, or nil when the text is none.
  static func shortestInteger(_ text: Bytes) -> Bytes? {
    let isNegative = text.first == UInt8(ascii: "-")
    let digits = isNegative || text.first == UInt8(ascii: "+") ? text.dropFirst() : text[...]
    guard !digits.isEmpty, digits.allSatisfy({ (48...57).contains($0) }) else { return nil }
    let significant = digits.drop { $0 == 48 }
    if significant.isEmpty { return [48] }
    return (isNegative ? [UInt8(ascii: "-")] : []) + significant
  }
}
