import Foundation
import Hummingbird
import KVBase
import KVModel
import KVProtocol

/// Bucket types: created once, active at once, spread and kept like bucket properties.
extension HTTPInterface {
  private static func type(_ name: String) -> BucketID {
    BucketID(type: Bytes(name.utf8), name: [])
  }

  /// The properties of a type.
  func bucketType(_ name: String) async -> Response {
    switch await node.reply(to: .bucketProperties(Self.type(name))) {
    case .properties(let properties):
      Self.json(
        .ok,
        AdminDocument.BucketType(
          name: name,
          props: Dictionary(
            uniqueKeysWithValues: BucketTypeDefinition.described(properties).map {
              ($0.name, $0.value)
            })))
    case .failure(.unknownBucketType): refused("\(name) is not an existing bucket type")
    default: unavailable
    }
  }

  /// Creates a type; one that exists is refused, because parts of it may not change.
  func createBucketType(_ name: String, _ body: Data) async -> Response {
    guard !name.isEmpty, name != "default" else {
      return refused("Error creating bucket type \(name): the name is reserved")
    }
    let properties: BucketProperties
    do throws(ProtocolFailure) {
      properties = try BucketTypeDefinition.properties(json: body)
    } catch {
      return refused("Error creating bucket type \(name): \(error.text)")
    }
    switch await node.reply(to: .bucketProperties(Self.type(name))) {
    case .failure(.unknownBucketType): break
    case .properties:
      return refused("Error creating bucket type \(name): already_active")
    default: return unavailable
    }
    let reply = await node.reply(to: .setBucketProperties(Self.type(name), properties))
    guard case .propertiesStored? = reply else { return unavailable }
    return Self.json(.ok, AdminDocument.Outcome(ok: true, message: "\(name) created and active"))
  }

  /// Drops what a bucket holds.
  func dropBucket(type: String, name: String) async -> Response {
    let bucket = BucketID(type: Bytes(type.utf8), name: Bytes(name.utf8))
    switch await node.reply(to: .dropBucket(bucket)) {
    case .propertiesStored:
      return Self.json(
        .ok,
        AdminDocument.Outcome(
          ok: true,
          message: "\(name) is dropped: what it held is gone for readers, and is being removed"))
    case .failure(.unknownBucketType): return refused("\(type) is not an existing bucket type")
    default: return unavailable
    }
  }

  private func refused(_ message: String) -> Response {
    Self.json(.conflict, AdminDocument.Outcome(ok: false, message: message))
  }

  private var unavailable: Response {
    Self.json(
      .serviceUnavailable,
      AdminDocument.Outcome(
        ok: false, message: "The node did not do it. Try again in a few moments."))
  }
}
