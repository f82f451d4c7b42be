package import Foundation
import KVBase
import KVCluster

extension AdminDocument {
  /// What a node's anti-entropy has done: its trees, and each pair of replicas it compares.
  package struct Entropy: Codable, Hashable, Sendable {
    package var node: String
    package var trees: [Tree]
    package var exchanges: [Exchange]
    /// Damaged pieces of stores that are being fetched from other replicas.
    package var damagedPieces: Int

    /// The hash trees of one vnode.
    package struct Tree: Codable, Hashable, Sendable {
      package var partition: Int
      /// `built`, or `building` while there are none yet or new ones are built beside them.
      package var state: String
      /// Objects that the last build counted.
      package var objects: Int
      /// Objects that the build under way has counted.
      package var building: Int?
      package var bytes: Int
      package var built: Date?
    }

    /// A vnode of the node and another replica of one of its groups.
    package struct Exchange: Codable, Hashable, Sendable {
      package var partition: Int
      /// The group: its first partition and n_val.
      package var first: Int
      package var nVal: Int
      package var peerPartition: Int
      package var peer: String
      package var active: Bool
      /// How the last exchange ended, and when.
      package var outcome: String?
      package var ended: Date?
      /// When both sides last held the same.
      package var agreed: Date?
      /// Objects repaired on either side since the node started.
      package var repaired: Int
    }
  }
}

extension AdminDocument.Entropy {
  /// The document of all shards of a node.
  init(_ shards: [EntropyStatus], _ cluster: ClusterStatus) {
    trees = shards.flatMap(\.trees).sorted { $0.partition < $1.partition }.map { row in
      Tree(
        partition: row.partition.index, state: row.building == nil ? "built" : "building",
        objects: row.objects, building: row.building, bytes: row.byteCount,
        built: row.builtAt.map(Date.init))
    }
    exchanges = shards.flatMap(\.pairs).sorted { $0.pair < $1.pair }.map { row in
      Exchange(
        partition: row.pair.partition.index, first: row.pair.group.first.index,
        nVal: row.pair.group.nVal, peerPartition: row.pair.peer.index,
        peer: cluster.owners.indices.contains(row.pair.peer.index)
          ? cluster.owners[row.pair.peer.index] : "unknown",
        active: row.isActive, outcome: row.record.outcome?.text,
        ended: row.record.endedAt.map(Date.init), agreed: row.record.agreedAt.map(Date.init),
        repaired: row.record.repairedCount)
    }
    node = cluster.local
    damagedPieces = shards.reduce(0) { $0 + $1.damagedPieces }
  }
}

extension Date {
  init(_ time: WallClock) {
    // Whole seconds: the documents' dates have no more.
    self.init(timeIntervalSince1970: TimeInterval(time.microseconds / 1_000_000))
  }
}
