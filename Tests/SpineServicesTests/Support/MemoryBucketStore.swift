import KVBase
import KVModel
import Synchronization

@testable import SpineServices

/// A store in memory with the real rules of siblings and contexts: a write replaces exactly what
/// its context has seen, and stands beside everything else.
final class MemoryBucketStore: BucketStore, Sendable {
  private struct State {
    var objects: [BucketName: [String: KVObject]] = [:]
    var contents: [Bytes: StoredValue] = [:]
    var counter: UInt64 = 0
    var writeCount = 0
    /// What the next writes fail with.
    var failures: [StoreFailure] = []
    var failureAfter: (count: Int, failure: StoreFailure)?
    var settings: [BucketName: BucketSettings] = [:]
  }

  private let state = Mutex(State())

  /// Makes the next writes fail, in order.
  func failNextWrites(_ failures: [StoreFailure]) { state.withLock { $0.failures = failures } }

  /// Makes one write fail, after `count` that succeed.
  func failWrites(after count: Int, with failure: StoreFailure) {
    state.withLock { $0.failureAfter = (count, failure) }
  }

  var writeCount: Int { state.withLock { $0.writeCount } }

  func settings(of bucket: BucketName) -> BucketSettings? { state.withLock { $0.settings[bucket] } }

  func siblingCount(_ key: String, in bucket: BucketName) -> Int {
    state.withLock { $0.objects[bucket]?[key]?.siblings.count ?? 0 }
  }

  func fetch(_ key: String, in bucket: BucketName) async throws(StoreFailure) -> StoredSiblings? {
    state.withLock { state -> StoredSiblings? in
      guard let object = state.objects[bucket]?[key], !object.isDeleted else { return nil }
      let values = object.siblings.compactMap { state.contents[$0.content.value] }
      return StoredSiblings(context: object.clock.clientBytes, values: values)
    }
  }

  func store(
    _ value: StoredValue, at key: String, in bucket: BucketName, context: Bytes?,
    if condition: StoreCondition
  ) async throws(StoreFailure) {
    let failure = state.withLock { state -> StoreFailure? in
      if !state.failures.isEmpty { return state.failures.removeFirst() }
      if let (count, failure) = state.failureAfter {
        state.failureAfter = count > 0 ? (count - 1, failure) : nil
        if count == 0 { return failure }
      }
      var object = state.objects[bucket]?[key] ?? KVObject()
      switch condition {
      case .none: break
      case .absent: if !object.isEmpty, !object.isDeleted { return .conditionFailed }
      case .unmodified: if object.clock.clientBytes != context { return .conditionFailed }
      }
      write(value, context, &object, &state)
      state.objects[bucket, default: [:]][key] = object
      return nil
    }
    if let failure { throw failure }
  }

  /// Writes beside whatever is there, as a coordinator that has not seen it would.
  func storeBlindly(_ value: StoredValue, at key: String, in bucket: BucketName) {
    state.withLock { state in
      var object = state.objects[bucket]?[key] ?? KVObject()
      write(value, nil, &object, &state)
      state.objects[bucket, default: [:]][key] = object
    }
  }

  private func write(
    _ value: StoredValue, _ context: Bytes?, _ object: inout KVObject, _ state: inout State
  ) {
    state.counter += 1
    state.writeCount += 1
    let clock = context.flatMap { try? VersionVector(clientBytes: $0) } ?? VersionVector()
    let name = Bytes(String(state.counter).utf8)
    object.write(Content(value: name), context: clock, by: VnodeID(rawValue: 1))
    state.contents[name] = value
  }

  func delete(_ key: String, in bucket: BucketName, context: Bytes?) async throws(StoreFailure) {
    state.withLock { _ = $0.objects[bucket]?.removeValue(forKey: key) }
  }

  func keys(in bucket: BucketName) async throws(StoreFailure) -> [String] {
    state.withLock { ($0.objects[bucket] ?? [:]).keys.sorted() }
  }

  func configure(_ bucket: BucketName, settings: BucketSettings) async throws(StoreFailure) {
    state.withLock { $0.settings[bucket] = settings }
  }
}
