import KVBase
import KVModel

/// One bucket's properties as the cluster agrees on them, or the fact that they were reset.
struct PropertyEntry: Hashable, Sendable {
  /// The bucket.
  var bucket: BucketID
  /// Increases with each change; the largest wins.
  var counter: UInt64
  /// Drawn at random; decides between changes made at the same time on different nodes.
  var nonce: UInt64
  /// Complete properties; nil when they were reset to the defaults, which must be remembered lest
  /// an older entry comes back.
  var properties: BucketProperties?

  func isNewer(than other: PropertyEntry) -> Bool {
    (counter, nonce) > (other.counter, other.nonce)
  }

  var stamp: PropertyStamp { PropertyStamp(bucket: bucket, counter: counter, nonce: nonce) }

  func encode(into writer: inout ByteWriter) {
    stamp.encode(into: &writer)
    writer.write(optional: properties) { $1.encode(into: &$0) }
  }

  init(bucket: BucketID, counter: UInt64, nonce: UInt64, properties: BucketProperties?) {
    self.bucket = bucket
    self.counter = counter
    self.nonce = nonce
    self.properties = properties
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let stamp = try PropertyStamp(decoding: &reader)
    let properties = try reader.readOptional { (r) throws(DecodingFailure) in
      try BucketProperties(decoding: &r)
    }
    self.init(
      bucket: stamp.bucket, counter: stamp.counter, nonce: stamp.nonce, properties: properties)
  }
}

/// Which entry of a bucket a node has, without its content.
struct PropertyStamp: Hashable, Sendable {
  var bucket: BucketID
  var counter: UInt64
  var nonce: UInt64

  init(bucket: BucketID, counter: UInt64, nonce: UInt64) {
    self.bucket = bucket
    self.counter = counter
    self.nonce = nonce
  }

  func encode(into writer: inout ByteWriter) {
    bucket.encode(into: &writer)
    writer.write(varint: counter)
    writer.write(fixed: nonce)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let bucket = try BucketID(decoding: &reader)
    let counter = try reader.readVarint()
    guard counter < 1 << 60 else { throw reader.failure(expected: "a change counter") }
    self.init(bucket: bucket, counter: counter, nonce: try reader.readFixed())
  }
}

/// The properties of all buckets that ever had some of their own: per bucket, the last change wins.
///
/// **Invariants**: sorted by bucket, at most ``limit`` entries; ``digest`` is equal on two nodes
/// when their entries are.
struct PropertyTable: Hashable, Sendable {
  /// The most buckets with an entry, resets included.
  static let limit = 4096
  /// About how many bytes of entries go into one message.
  static let batchByteLimit = 256 << 10

  private(set) var entries: [PropertyEntry] = []
  /// Sum of the entries' hashes.
  private(set) var digest: UInt64 = 0

  private func index(of bucket: BucketID) -> (index: Int, isPresent: Bool) {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].bucket < bucket { low = middle + 1 } else { high = middle }
    }
    return (low, low < entries.count && entries[low].bucket == bucket)
  }

  /// The change of a bucket made here; nil when nothing would change or the table is full.
  mutating func set(
    _ properties: BucketProperties?, of bucket: BucketID, nonce: UInt64
  ) -> PropertyEntry? {
    let (index, isPresent) = index(of: bucket)
    guard (isPresent ? entries[index].properties : nil) != properties else { return nil }
    guard isPresent || entries.count < Self.limit else { return nil }
    let counter = isPresent ? entries[index].counter + 1 : 1
    let entry = PropertyEntry(
      bucket: bucket, counter: counter, nonce: nonce, properties: properties)
    return merge(entry) ? entry : nil
  }

  /// Whether a bucket may be given properties: it has an entry, or there is room for one.
  func hasRoom(for bucket: BucketID) -> Bool {
    entries.count < Self.limit || index(of: bucket).isPresent
  }

  /// Takes an entry that is newer than the present one; tells whether it was.
  mutating func merge(_ entry: PropertyEntry) -> Bool {
    let (index, isPresent) = index(of: entry.bucket)
    if isPresent {
      guard entry.isNewer(than: entries[index]) else { return false }
      digest &-= Self.hash(entries[index].stamp)
      entries[index] = entry
    } else {
      // Above the limit the smallest names are kept, so that all nodes still agree.
      entries.insert(entry, at: index)
      if entries.count > Self.limit {
        let dropped = entries.removeLast()
        guard dropped.bucket != entry.bucket else { return false }
        digest &-= Self.hash(dropped.stamp)
      }
    }
    digest &+= Self.hash(entry.stamp)
    return true
  }

  /// What a node with the given stamps lacks (`newer`), and what it has that is missing here.
  func compare(
    _ stamps: [PropertyStamp]
  ) -> (newer: [PropertyEntry], wanted: [BucketID]) {
    let theirs = Dictionary(stamps.map { ($0.bucket, $0) }) { first, _ in first }
    let newer = entries.filter { entry in
      guard let stamp = theirs[entry.bucket] else { return true }
      return (entry.counter, entry.nonce) > (stamp.counter, stamp.nonce)
    }
    let wanted = stamps.filter { stamp in
      let (index, isPresent) = index(of: stamp.bucket)
      guard isPresent else { return true }
      return (stamp.counter, stamp.nonce) > (entries[index].counter, entries[index].nonce)
    }
    return (Self.batch(newer), wanted.map(\.bucket))
  }

  /// The entries of the given buckets, as far as one message carries them.
  func entries(of buckets: [BucketID]) -> [PropertyEntry] {
    Self.batch(
      buckets.compactMap { bucket in
        let (index, isPresent) = index(of: bucket)
        return isPresent ? entries[index] : nil
      })
  }

  private static func batch(_ entries: [PropertyEntry]) -> [PropertyEntry] {
    var writer = ByteWriter()
    var count = 0
    for entry in entries where writer.count < batchByteLimit {
      entry.encode(into: &writer)
      count += 1
    }
    return Array(entries.prefix(count))
  }

  private static func hash(_ stamp: PropertyStamp) -> UInt64 {
    var writer = ByteWriter(capacity: 64)
    stamp.encode(into: &writer)
    return StableHash.hash(writer.bytes)
  }
}
