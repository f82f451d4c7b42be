import KVBase
import KVModel

/// A request's path and parameters, decoded.
struct ClientQuery {
  /// The parts of the path between slashes.
  var parts: [Bytes]
  private var parameters: [String: String] = [:]

  /// Reads the target of a request; nil when its percent signs encode nothing.
  init?(_ target: String) {
    let halves = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    var parts: [Bytes] = []
    for part in (halves.first ?? "").dropFirst().split(
      separator: "/", omittingEmptySubsequences: false)
    {
      guard let bytes = Self.decoded(part.utf8, plusIsSpace: false) else { return nil }
      parts.append(bytes)
    }
    if parts.count > 1, parts.last == [] { parts.removeLast() }
    self.parts = parts
    guard halves.count == 2 else { return }
    for pair in halves[1].split(separator: "&") {
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = Self.decoded(sides[0].utf8, plusIsSpace: true),
        let value = Self.decoded((sides.count > 1 ? sides[1] : "").utf8, plusIsSpace: true)
      else { return nil }
      parameters[String(decoding: name, as: UTF8.self)] = String(decoding: value, as: UTF8.self)
    }
  }

  subscript(name: String) -> String? { parameters[name] }

  /// The bytes of a text with percent signs; nil when they encode nothing.
  static func decoded(_ text: String) -> Bytes? { decoded(text.utf8, plusIsSpace: false) }

  private static func decoded(
    _ text: some Collection<UInt8>, plusIsSpace: Bool
  ) -> Bytes? {
    var result: Bytes = []
    var rest = Array(text)[...]
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "%"):
        guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit)
        else { return nil }
        result.append(high << 4 | low)
      case UInt8(ascii: "+") where plusIsSpace: result.append(UInt8(ascii: " "))
      default: result.append(byte)
      }
    }
    return result
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    Character(Unicode.Scalar(byte)).hexDigitValue.map { UInt8($0) }
  }

  /// What is not allowed in a path as it stands is encoded.
  static func encoded(_ bytes: Bytes) -> String {
    var result = ""
    for byte in bytes {
      let scalar = Unicode.Scalar(byte)
      if byte < 128,
        Character(scalar).isLetter || Character(scalar).isNumber
          || "-._~".unicodeScalars.contains(scalar)
      {
        result.unicodeScalars.append(scalar)
      } else {
        let digits = String(byte, radix: 16, uppercase: true)
        result += "%" + (byte < 16 ? "0" : "") + digits
      }
    }
    return result
  }

  // MARK: Parameters

  /// A quorum value; nil when it is missing or `default`.
  func quorum(_ name: String) throws(ClientFailure) -> QuorumValue? {
    switch self[name] {
    case nil, "default"?: return nil
    case "one"?: return .one
    case "quorum"?: return .quorum
    case "all"?: return .all
    case let text?:
      guard let count = UInt32(text), count < 1 << 16 else {
        throw .malformed(
          "\(name) query parameter must be an integer or one of the following words: "
            + "'one', 'quorum' or 'all'\n")
      }
      return .count(count)
    }
  }

  /// A flag; nil when it is missing.
  func flag(_ name: String) throws(ClientFailure) -> Bool? {
    switch self[name] {
    case nil: nil
    case "true"?: true
    case "false"?: false
    default: throw .malformed("\(name) query parameter must be true or false\n")
    }
  }

  /// The time that the request may take.
  func timeout() throws(ClientFailure) -> Duration? {
    guard let text = self["timeout"] else { return nil }
    guard let milliseconds = Int(text) else {
      throw .malformed("Bad timeout value \"\(text)\"\n")
    }
    guard milliseconds >= 0 else { throw .failed(.timeout) }
    return .milliseconds(min(milliseconds, Self.timeoutLimit))
  }

  /// A day, in milliseconds.
  private static let timeoutLimit = 86_400_000
}

/// Parameters that several resources have.
extension ClientQuery {
  /// What the parameters say about a read.
  func getOptions() throws(ClientFailure) -> GetOptions {
    var options = GetOptions()
    options.r = try quorum("r")
    options.pr = try quorum("pr")
    options.nodeConfirms = try quorum("node_confirms")
    options.basicQuorum = try flag("basic_quorum")
    options.notFoundOK = try flag("notfound_ok")
    options.timeout = try timeout()
    return options
  }

  /// What the parameters say about a write; `returnBody` names the one that asks for what was stored.
  func putOptions(returnBody: String = "returnbody") throws(ClientFailure) -> PutOptions {
    var options = PutOptions()
    options.w = try quorum("w")
    options.dw = try quorum("dw")
    options.pw = try quorum("pw")
    options.nodeConfirms = try quorum("node_confirms")
    options.timeout = try timeout()
    options.returnBody = try flag(returnBody) ?? false
    return options
  }
}
