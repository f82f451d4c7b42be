import KVBase
import KVModel

/// The trees of one vnode, one for each group it holds, and the build that will replace them.
///
/// A build goes through the objects in key order. A change of an object that it has passed is made
/// in its trees too; the others it will come upon as they are then. So a build may take as long as
/// it likes, and what it ends with is exact.
struct VnodeTrees: Sendable {
  /// Trees being built.
  struct Build: Sendable {
    var trees: [TreeGroup: HashTree] = [:]
    /// The last object counted.
    var cursor: ObjectKey?
    var objects = 0
  }

  /// The trees that are compared; nil until the first build has ended.
  var trees: [TreeGroup: HashTree]?
  /// The build under way.
  var build: Build?
  /// When the trees should be built again.
  var rebuildAt: Instant
  /// When the trees were built, by the wall clock.
  var builtAt: WallClock?
  /// Objects counted by the last build.
  var objects = 0

  /// Counts a change of an object: what it was and what it is, as hashes.
  mutating func change(
    _ key: ObjectKey, _ nameHash: UInt64, in group: TreeGroup, from old: UInt64?, to new: UInt64?
  ) {
    guard old != new else { return }
    let delta = (old ?? 0) ^ (new ?? 0)
    let leaf = LeafID(nameHash: nameHash)
    trees?[group, default: HashTree()].toggle(delta, in: leaf)
    if let cursor = build?.cursor, !(cursor < key) {
      build?.trees[group, default: HashTree()].toggle(delta, in: leaf)
    }
  }

  /// The tree of a group; nil until the first build has ended.
  func tree(of group: TreeGroup) -> HashTree? { trees.map { $0[group] ?? HashTree() } }
}

extension VnodeTrees {
  /// Appends the time until the next build, the number of objects and the trees.
  func encode(into writer: inout ByteWriter, at now: Instant) {
    writer.write(fixed: (rebuildAt - now).wholeNanoseconds)
    writer.write(fixed: builtAt?.microseconds ?? 0)
    writer.write(count: objects)
    let trees = (trees ?? [:]).sorted { $0.key < $1.key }.filter { !$0.value.isEmpty }
    writer.write(list: trees) { writer, tree in
      tree.key.encode(into: &writer)
      tree.value.encode(into: &writer)
    }
  }

  /// Reads what ``encode(into:at:)`` wrote.
  init(decoding reader: inout ByteReader, at now: Instant) throws(DecodingFailure) {
    let wait = try reader.readFixed(UInt64.self)
    rebuildAt = now + .nanoseconds(Int64(clamping: wait))
    builtAt = WallClock(microseconds: try reader.readFixed())
    objects = Int(clamping: try reader.readVarint())
    var trees: [TreeGroup: HashTree] = [:]
    let count = try reader.readCount(minimumBytes: 4)
    for _ in 0..<count {
      let group = try TreeGroup(decoding: &reader)
      trees[group] = try HashTree(decoding: &reader)
    }
    self.trees = trees
  }
}

extension TreeGroup {
  func encode(into writer: inout ByteWriter) {
    first.encode(into: &writer)
    writer.write(count: nVal)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let first = try PartitionID(decoding: &reader)
    let nVal = try reader.readVarint()
    guard nVal >= 1, nVal <= 4096 else { throw reader.failure(expected: "an n_val") }
    self.init(first: first, nVal: Int(nVal))
  }
}
