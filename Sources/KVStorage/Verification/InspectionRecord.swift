public import KVBase

/// One line of what a store holds: a kind and named fields.
public struct InspectionRecord: Hashable, Sendable {
  /// What a field holds.
  public enum Value: Hashable, Sendable {
    /// A number.
    case number(UInt64)
    /// A text, or bytes as escaped text.
    case text(String)
    /// Yes or no.
    case flag(Bool)
  }

  /// A named field.
  public struct Field: Hashable, Sendable {
    /// The name.
    public var name: String
    /// The value.
    public var value: Value
  }

  /// What the line describes.
  public var kind: String
  /// Its fields, in order.
  public var fields: [Field] = []

  init(_ kind: String) { self.kind = kind }

  func with(_ name: String, _ count: Int) -> InspectionRecord {
    with(name, .number(UInt64(clamping: count)))
  }

  func with(_ name: String, _ number: UInt64) -> InspectionRecord { with(name, .number(number)) }

  func with(_ name: String, _ flag: Bool) -> InspectionRecord { with(name, .flag(flag)) }

  func with(_ name: String, _ text: String) -> InspectionRecord { with(name, .text(text)) }

  /// The same with a field for bytes, escaped.
  func with(_ name: String, bytes: Bytes) -> InspectionRecord {
    with(name, .text(escapedText(bytes)))
  }

  private func with(_ name: String, _ value: Value) -> InspectionRecord {
    var record = self
    record.fields.append(Field(name: name, value: value))
    return record
  }

  /// `kind name=value name="text"`, on one line.
  public var text: String {
    fields.reduce(into: kind) { line, field in
      switch field.value {
      case .number(let number): line += " \(field.name)=\(number)"
      case .flag(let flag): line += " \(field.name)=\(flag)"
      case .text(let text):
        line += " \(field.name)=\"\(text.replacing(#"""#, with: #"\""#))\""
      }
    }
  }

  /// A JSON object on one line, the kind as `type`.
  public var json: String {
    var parts = ["\"type\":\(quoted(kind))"]
    for field in fields {
      let value =
        switch field.value {
        case .number(let number): "\(number)"
        case .flag(let flag): "\(flag)"
        case .text(let text): quoted(text)
        }
      parts.append("\(quoted(field.name)):\(value)")
    }
    return "{\(parts.joined(separator: ","))}"
  }

  /// The texts have no control characters: bytes are escaped, and the rest are the engine's own words.
  private func quoted(_ text: String) -> String {
    "\"\(text.replacing(#"\"#, with: #"\\"#).replacing(#"""#, with: #"\""#))\""
  }
}

/// Bytes as printable ASCII without quotation marks: a backslash is doubled, and every byte that does
/// not fit becomes `\xNN`.
public func escapedText(_ bytes: Bytes) -> String {
  var text = ""
  for byte in bytes {
    switch byte {
    case UInt8(ascii: "\\"): text += #"\\"#
    case 0x20...0x7E where byte != UInt8(ascii: "\""):
      text.unicodeScalars.append(Unicode.Scalar(byte))
    default:
      let digits = String(byte, radix: 16)
      text += (digits.utf8.count == 1 ? #"\x0"# : #"\x"#) + digits
    }
  }
  return text
}

/// The bytes that ``escapedText(_:)`` writes so; nil when an escape is not one of its.
public func unescapedBytes(_ text: String) -> Bytes? {
  var bytes = Bytes()
  var rest = Substring(text)
  while let character = rest.popFirst() {
    guard character == "\\" else {
      bytes.append(contentsOf: Bytes(String(character).utf8))
      continue
    }
    switch rest.popFirst() {
    case "\\": bytes.append(UInt8(ascii: "\\"))
    case "x":
      guard rest.count >= 2, let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
      bytes.append(byte)
      rest.removeFirst(2)
    default: return nil
    }
  }
  return bytes
}
