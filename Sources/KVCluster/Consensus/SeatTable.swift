import KVBase

/// The seats of one shard and the vows it has made about the seats of others, as they are stored.
///
/// The node that founds a cluster holds every seat; all others come to theirs by handover or
/// recovery. Records bear the disk's instance, which is drawn anew with each change of cluster, so
/// that what was stored in an earlier life counts for nothing.
///
/// **Invariants**: a change that is returned must be applied to the store before the table is asked
/// again, and be durable before anyone is told of it.
public struct SeatTable: Sendable {
  private static let diskName = "consensus/disk"

  /// The cluster whose seats these are; nil before the first view.
  public private(set) var cluster: UInt64?
  /// Distinguishes this disk from every other and from its own past in other clusters.
  public private(set) var instance: UInt64 = 0
  private var isFounder = false
  private let wasUsed: Bool
  private var seats: [PartitionID: Seat] = [:]
  private var fences: [PartitionID: SeatFence?] = [:]

  /// The table in a store.
  ///
  /// - Parameter wasUsed: true when the store served before it knew seats: it owns what it owns.
  public init(store: any ReplicaStore, wasUsed: Bool) throws(ReplicaStoreFailure) {
    self.wasUsed = wasUsed
    guard let bytes = try store.metadata(Self.diskName) else { return }
    var reader = ByteReader(bytes)
    guard let cluster = try? reader.readFixed(UInt64.self),
      let instance = try? reader.readFixed(UInt64.self),
      let isFounder = try? reader.readBool(), reader.isAtEnd
    else { throw ClusterError.malformedMetadata(Self.diskName) }
    self.cluster = cluster
    self.instance = instance
    self.isFounder = isFounder
  }

  /// Takes note of the cluster that the view shows.
  ///
  /// - Returns: changes that must be durable before the shard serves; empty when it knew the
  /// cluster.
  public mutating func adopt(
    _ view: ClusterView, owned: [PartitionID], random: UInt64
  ) -> [ReplicaChange] {
    guard cluster != view.cluster else { return [] }
    let isUpgrade = cluster == nil && wasUsed
    cluster = view.cluster
    instance = random
    isFounder = view.ring.owners.allSatisfy { $0 == view.local }
    seats = [:]
    fences = [:]
    var writer = ByteWriter(capacity: 17)
    writer.write(fixed: view.cluster)
    writer.write(fixed: instance)
    writer.write(isFounder)
    var changes: [ReplicaChange] = [.metadata(Self.diskName, writer.bytes)]
    if isUpgrade, !isFounder {
      for partition in owned { changes.append(set(.founding, of: partition)) }
    }
    return changes
  }

  // MARK: Seats

  /// What this node has of the seat of `partition`.
  public mutating func seat(
    of partition: PartitionID, in store: any ReplicaStore
  ) throws(ReplicaStoreFailure) -> Seat {
    if let known = seats[partition] { return known }
    let name = Self.seatName(partition)
    var seat = isFounder ? Seat.founding : .unknown
    if let bytes = try store.metadata(name) {
      guard let record = try? SeatRecord(decoding: bytes) else {
        throw ClusterError.malformedMetadata(name)
      }
      if record.instance == instance { seat = record.seat }
    }
    seats[partition] = seat
    return seat
  }

  /// The same as far as it has been asked for before.
  public func known(_ partition: PartitionID) -> Seat? { seats[partition] }

  /// Records what this node has of a seat from now on.
  public mutating func set(_ seat: Seat, of partition: PartitionID) -> ReplicaChange {
    seats[partition] = seat
    let record = SeatRecord(instance: instance, seat: seat)
    return .metadata(Self.seatName(partition), record.encoded())
  }

  // MARK: Fences

  /// The vow about the seats of `partition`, if one was made.
  public mutating func fence(
    of partition: PartitionID, in store: any ReplicaStore
  ) throws(ReplicaStoreFailure) -> SeatFence? {
    if let known = fences[partition] { return known }
    let name = Self.fenceName(partition)
    var fence: SeatFence?
    if let bytes = try store.metadata(name) {
      var reader = ByteReader(bytes)
      guard let own = try? reader.readFixed(UInt64.self),
        let generation = try? reader.readFixed(UInt32.self),
        let instance = try? reader.readFixed(UInt64.self), reader.isAtEnd
      else { throw ClusterError.malformedMetadata(name) }
      if own == self.instance { fence = SeatFence(generation: generation, instance: instance) }
    }
    fences[partition] = .some(fence)
    return fence
  }

  /// Records a vow.
  public mutating func set(_ fence: SeatFence, of partition: PartitionID) -> ReplicaChange {
    fences[partition] = .some(fence)
    var writer = ByteWriter(capacity: 20)
    writer.write(fixed: instance)
    writer.write(fixed: fence.generation)
    writer.write(fixed: fence.instance)
    return .metadata(Self.fenceName(partition), writer.bytes)
  }

  private static func seatName(_ partition: PartitionID) -> String {
    "consensus/seat/\(partition.index)"
  }

  private static func fenceName(_ partition: PartitionID) -> String {
    "consensus/fence/\(partition.index)"
  }
}

/// A seat as it is stored: a version byte, the disk's instance, generation, hop, a state byte, and
/// for a seat that was given away the node and the disk.
struct SeatRecord: Hashable {
  private static let formatVersion: UInt8 = 1

  var instance: UInt64
  var seat: Seat

  init(instance: UInt64, seat: Seat) {
    self.instance = instance
    self.seat = seat
  }

  func encoded() -> Bytes {
    var writer = ByteWriter(capacity: 40)
    writer.write(Self.formatVersion)
    writer.write(fixed: instance)
    writer.write(fixed: seat.generation)
    writer.write(fixed: seat.hop)
    switch seat.state {
    case .vacant: writer.write(UInt8(0))
    case .held: writer.write(UInt8(1))
    case .given(let node, let instance):
      writer.write(UInt8(2))
      writer.write(fixed: node.rawValue)
      writer.write(fixed: instance)
    }
    return writer.bytes
  }

  init(decoding bytes: Bytes) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    guard try reader.readByte() == Self.formatVersion else {
      throw DecodingFailure(expected: "seat version \(Self.formatVersion)", offset: 0)
    }
    instance = try reader.readFixed()
    let generation: UInt32 = try reader.readFixed()
    let hop: UInt32 = try reader.readFixed()
    let state: Seat.State
    switch try reader.readByte() {
    case 0: state = .vacant
    case 1: state = .held
    case 2:
      state = .given(to: NodeID(rawValue: try reader.readFixed()), instance: try reader.readFixed())
    case let tag: throw reader.failure(expected: "a seat's state, not \(tag)")
    }
    seat = Seat(generation: generation, hop: hop, state: state)
    try reader.expectEnd()
  }
}
