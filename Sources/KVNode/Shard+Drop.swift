import KVBase
import KVCluster
import KVModel

/// Dropping whole buckets.
///
/// The marker in the property table decides at once what is dead; the removal of the bytes follows, a
/// stretch at a time, in every shard that holds some, and is noted when it has been done.
extension Shard {
  private static let stretchCount = 1000
  private static let stretchPause = Duration.milliseconds(10)

  /// Notes the drop where every member will see it.
  mutating func drop(_ bucket: BucketID, _ id: RequestID) {
    let previous = view.dropTime(of: bucket)?.microseconds ?? 0
    var marker = BucketProperties()
    marker.dropTime = WallClock(microseconds: max(now.wallClock.microseconds, previous + 1))
    change(ClusterView.dropMarker(of: bucket), marker, id)
  }

  /// Looks whether a bucket was dropped whose contents have not been removed here.
  mutating func continueDrops() {
    guard dropSweep == nil, storeFailure == nil else { return }
    do {
      for (bucket, time) in view.droppedBuckets
      where try !isRemoved(bucket, time) {
        let partitions = try store.occupiedPartitions().filter { runs($0) }
        dropSweep = DropSweep(bucket: bucket, time: time, partitions: partitions)
        deadlines.add(.drop, at: now.instant)
        return
      }
    } catch {
      log(.error, "the drop of a bucket cannot go on: \(error)")
    }
  }

  private func isRemoved(_ bucket: BucketID, _ time: WallClock) throws -> Bool {
    guard let stored = try store.metadata(Self.name(bucket)) else { return false }
    var reader = ByteReader(stored)
    return (try? reader.readFixed(UInt64.self)) ?? 0 >= time.microseconds
  }

  private static func name(_ bucket: BucketID) -> String {
    var writer = ByteWriter()
    bucket.encode(into: &writer)
    return "drop/" + writer.bytes.map { String($0, radix: 16) }.joined(separator: ".")
  }

  mutating func dropDue() {
    guard var sweep = dropSweep, phase == .serving, storeFailure == nil else {
      dropSweep = nil
      return
    }
    do {
      guard let partition = sweep.partitions.first else { return try endDrop(sweep) }
      let done = try vnodes?.removeDead(
        of: sweep.bucket, in: partition, after: sweep.cursor, limit: Self.stretchCount)
      if let done, done.removed > 0 { probe("dropped objects removed") }
      sweep.cursor = done?.cursor
      if sweep.cursor == nil { sweep.partitions.removeFirst() }
      dropSweep = sweep
      deadlines.add(.drop, at: now.instant + Self.stretchPause)
    } catch {
      dropSweep = nil
      log(.error, "the drop of a bucket cannot go on: \(error)")
    }
  }

  private mutating func endDrop(_ sweep: DropSweep) throws {
    dropSweep = nil
    var writer = ByteWriter(capacity: 8)
    writer.write(fixed: sweep.time.microseconds)
    _ = try store.apply([.metadata(Self.name(sweep.bucket), writer.bytes)])
    let name = String(decoding: sweep.bucket.name.prefix(100), as: UTF8.self)
    log(.info, "everything in the dropped bucket \(name) has been removed here")
    continueDrops()
  }
}
