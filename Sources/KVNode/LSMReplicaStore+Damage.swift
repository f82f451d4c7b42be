public import KVBase
public import KVCluster
import KVModel
import KVStorage

/// A damaged range that a read came upon.
struct FoundDamage {
  var range: KeyRange
  /// True for a value of the journal, which is whole again once its key is written again.
  var isValue: Bool
}

/// What the engine cannot read, as parts of partitions.
extension LSMReplicaStore {
  private static let damageLimit = 32

  /// The failure for an error of the engine; damage is remembered and set apart.
  func failure(_ error: StorageError) -> ReplicaStoreFailure {
    if notesDamage, error.isCorruption, error.code != .damagedRange,
      let range = store.keyRange(of: error)
    {
      note(range, isValue: error.path?.hasSuffix(".sst") != true)
    }
    return ReplicaStoreFailure(error)
  }

  /// See ``ReplicaStore``.
  public func noteDamage(from lower: Bytes, to upper: Bytes, isValue: Bool) {
    note(KeyRange(lower: lower, upper: upper), isValue: isValue)
  }

  private func note(_ range: KeyRange, isValue: Bool) {
    guard foundDamage.count < Self.damageLimit, !foundDamage.contains(where: { $0.range == range })
    else { return }
    foundDamage.append(FoundDamage(range: range, isValue: isValue))
    if !isValue { store.setDamageApart(in: range) }
  }

  /// See ``ReplicaStore``.
  public func damage() throws(ReplicaStoreFailure) -> [ReplicaDamage] {
    do throws(StorageError) {
      foundDamage.removeAll { !$0.isValue && !store.isDamageWaiting(in: $0.range) }
      // Objects come first: index entries are made of them.
      let marked = try store.damagedRanges().flatMap(KeyLayout.restorableParts)
        .sorted { $0.lower.lexicographicallyPrecedes($1.lower) }.prefix(Self.damageLimit)
      return marked.map { Self.damage($0, isSetApart: true) }
        + foundDamage.map { Self.damage($0.range, isSetApart: $0.isValue) }
    } catch {
      throw failure(error)
    }
  }

  /// See ``ReplicaStore``.
  public func resolve(_ damage: ReplicaDamage) throws(ReplicaStoreFailure) {
    let range = KeyRange(lower: damage.lower, upper: damage.upper)
    foundDamage.removeAll { $0.range == range }
    do throws(StorageError) { try store.resolveDamage(in: range) } catch { throw failure(error) }
  }

  private static func damage(_ range: KeyRange, isSetApart: Bool) -> ReplicaDamage {
    var parts: [ReplicaDamage.Part] = []
    let first = KeyLayout.partition(of: range.lower)
    let last = KeyLayout.partition(of: range.upper) ?? PartitionID(4095)
    if let first, first <= last {
      for index in first.index...last.index {
        let partition = PartitionID(index)
        let isLast = KeyLayout.partition(of: range.upper) == partition
        // A part that ends before the first key of its partition is none.
        if isLast, range.upper.count <= 2 { continue }
        parts.append(
          ReplicaDamage.Part(
            partition: partition, after: partition == first ? Self.before(range.lower) : nil,
            through: isLast ? KeyLayout.objectKey(decoding: range.upper) : nil))
      }
    }
    let indexes = KeyLayout.indexedPartitions(of: range)
    return ReplicaDamage(
      lower: range.lower, upper: range.upper, parts: parts, indexes: indexes,
      isSetApart: isSetApart)
  }

  /// A name before that of the key; nil where none is easily told.
  private static func before(_ key: Bytes) -> ObjectKey? {
    guard var name = KeyLayout.objectKey(decoding: key), !name.key.isEmpty else { return nil }
    name.key.removeLast()
    return name
  }
}
