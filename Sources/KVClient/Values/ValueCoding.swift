import Foundation
import KVBase
public import KVModel
public import SwiftProtobuf

/// How values of one type are written as contents of objects, and read.
///
/// Conform a type of your own to it for other formats; nothing else need know.
public protocol ValueCoding<Value>: Sendable {
  /// The type of the values.
  associatedtype Value: Sendable
  /// The content that stands for a value: its bytes and their MIME type.
  func content(of value: Value) throws -> Content
  /// The value for which a content stands.
  ///
  /// - Throws: why it stands for none; readers get it as `undecodable`.
  func value(of content: Content) throws -> Value
}

/// Values as JSON, with sorted keys, so that equal values are equal bytes.
public struct JSONCoding<Value: Codable & Sendable>: ValueCoding {
  /// A coding; it has no settings.
  public init() {}

  /// JSON text, as `application/json`.
  public func content(of value: Value) throws -> Content {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return Content(
      value: Bytes(try encoder.encode(value)), contentType: Bytes("application/json".utf8))
  }

  /// Reads JSON text, whatever its MIME type says.
  public func value(of content: Content) throws -> Value {
    try JSONDecoder().decode(Value.self, from: Data(content.value))
  }
}

/// Values that are protobuf messages, in their binary form.
public struct ProtobufCoding<Value: SwiftProtobuf.Message & Sendable>: ValueCoding {
  private static var contentType: Bytes { Bytes("application/protobuf".utf8) }

  /// A coding; it has no settings.
  public init() {}

  /// The message's bytes, as `application/protobuf`.
  public func content(of value: Value) throws -> Content {
    Content(value: try value.serializedBytes(), contentType: Self.contentType)
  }

  /// Reads a message.
  ///
  /// Nearly any bytes can be read as some message, so contents that say they are something else are
  /// refused.
  public func value(of content: Content) throws -> Value {
    let names = ["application/protobuf", "application/x-protobuf", "application/octet-stream"]
    if let type = content.contentType, !names.contains(String(decoding: type, as: UTF8.self)) {
      throw KVClientError(
        .undecodable, "the content is of type \(String(decoding: type, as: UTF8.self))")
    }
    return try Value(serializedBytes: content.value)
  }
}
