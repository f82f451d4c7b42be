/// An optional that Spine records write as `false` when there is nothing.
@propertyWrapper
public struct OrFalse<Value: Codable & Hashable & Sendable>: Codable, Hashable, Sendable {
  /// The value, if there is one.
  public var wrappedValue: Value?

  /// Wraps a value.
  public init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

  /// Reads the value in any form that real records have.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      wrappedValue = nil
    } else if let value = try? container.decode(Value.self) {
      wrappedValue = value
    } else {
      let flag = try container.decode(Bool.self)
      guard !flag else {
        throw DecodingError.dataCorruptedError(
          in: container, debugDescription: "expected \(Value.self) or false, not true")
      }
      wrappedValue = nil
    }
  }

  /// Writes the value in the form that real records have.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let wrappedValue { try container.encode(wrappedValue) } else { try container.encode(false) }
  }
}

extension KeyedDecodingContainer {
  /// A missing key is nothing, as `false` is.
  func decode<Value>(_ type: OrFalse<Value>.Type, forKey key: Key) throws -> OrFalse<Value> {
    try decodeIfPresent(type, forKey: key) ?? OrFalse(wrappedValue: nil)
  }
}

/// A count that older records write as text.
public struct LooseInt: Codable, Hashable, Sendable, ExpressibleByIntegerLiteral {
  /// The number.
  public var value: Int

  /// A count.
  public init(_ value: Int) { self.value = value }

  /// A count.
  public init(integerLiteral value: Int) { self.value = value }

  /// Reads the value in any form that real records have.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let number = try? container.decode(Int.self) {
      value = number
    } else if let number = Int(try container.decode(String.self)) {
      value = number
    } else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "expected a count")
    }
  }

  /// Writes the value in the form that real records have.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(value)
  }
}
