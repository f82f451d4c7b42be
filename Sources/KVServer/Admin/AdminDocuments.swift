package import Foundation
package import KVCluster

/// The JSON documents of the admin interface, read by `ring-admin` and by whoever automates it.
///
/// Keys are in snake case.
package enum AdminDocument {
  /// The answer to a command that changes something, and to everything that fails.
  package struct Outcome: Codable, Hashable, Sendable {
    /// Whether it was done.
    package var ok: Bool
    /// What was done or why not.
    package var message: String

    /// An outcome with its message.
    package init(ok: Bool, message: String) {
      self.ok = ok
      self.message = message
    }
  }

  /// A bucket type and its properties, each as text.
  package struct BucketType: Codable, Hashable, Sendable {
    package var name: String
    package var props: [String: String]
  }

  /// The body of commands about a member.
  package struct Target: Codable, Hashable, Sendable {
    /// A member's name.
    package var node: String?
    /// `replace`: the member that takes over.
    package var with: String?
    /// `join`: the peer address of a node of the cluster.
    package var peer: String?
    /// `location`: the rack or site; empty for none.
    package var location: String?
    /// `transfer-limit`: partitions that each shard sends at once.
    package var concurrency: Int?
    /// `transfer-limit`: bytes a second that each shard sends; 0 for no limit.
    package var bytesPerSecond: Int?
    /// `bucket/drop`: the bucket's type.
    package var type: String?
    /// `bucket/drop`: the bucket.
    package var bucket: String?

    /// A body with the given parts.
    package init(
      node: String? = nil, with: String? = nil, peer: String? = nil, type: String? = nil,
      bucket: String? = nil
    ) {
      self.node = node
      self.with = with
      self.peer = peer
      self.type = type
      self.bucket = bucket
    }
  }

  /// A staged change.
  package struct Change: Codable, Hashable, Sendable {
    package var action: String
    package var details: String
  }

  /// A member.
  package struct MemberDocument: Codable, Hashable, Sendable {
    package var name: String
    package var status: String
    package var reachable: Bool
    package var partitions: Int
    package var pendingPartitions: Int
    /// Percent of the ring, now and after all transfers.
    package var ring: Double
    package var pending: Double
    package var clientAddress: String
    package var peerAddress: String
    /// Its rack or site; empty for none.
    ///
    /// Nil from a node of an earlier release, as below.
    package var location: String?
  }

  /// A partition on the move.
  package struct Transfer: Codable, Hashable, Sendable {
    package var kind: String
    package var partition: Int
    package var from: String
    package var to: String
    package var objects: Int
    package var bytes: Int
    package var active: Bool
    /// About how many objects there are to send; 0 when that is not known here.
    package var totalObjects: Int?
    package var bytesPerSecond: Int?
    /// About how long it will take; nil when that cannot be told.
    package var secondsLeft: Int?
  }

  /// Partitions that move between two members.
  package struct Move: Codable, Hashable, Sendable {
    package var from: String
    package var to: String
    package var count: Int
    package var transfersData: Bool
  }

  /// What committing the staged changes would do.
  package struct Plan: Codable, Hashable, Sendable {
    package var changes: [Change]
    package var membersAfter: [MemberDocument]
    package var moves: [Move]
    package var warnings: [String]
    /// Balance, spacing and cost, in words.
    package var notes: [String]?
  }

  /// The cluster as the node sees it.
  package struct Status: Codable, Hashable, Sendable {
    package var node: String
    package var claimant: String
    package var ringReady: Bool
    package var version: UInt64
    package var ringSize: Int
    package var members: [MemberDocument]
    /// Owner names by partition.
    package var owners: [String]
    package var transfers: [Transfer]
    package var staged: [Change]
  }

  /// The encoder of every document.
  package static var encoder: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.dateEncodingStrategy = .iso8601
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return encoder
  }

  /// The decoder of every document.
  package static var decoder: JSONDecoder {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    decoder.dateDecodingStrategy = .iso8601
    return decoder
  }
}

extension AdminDocument.MemberDocument {
  init(_ row: ClusterStatus.MemberRow, ringSize: Int) {
    func percent(_ count: Int) -> Double {
      ringSize == 0 ? 0 : (Double(count) * 1000 / Double(ringSize)).rounded() / 10
    }
    self.init(
      name: row.name, status: row.status.text, reachable: row.isReachable,
      partitions: row.partitions, pendingPartitions: row.pendingPartitions,
      ring: percent(row.partitions), pending: percent(row.pendingPartitions),
      clientAddress: row.clientEndpoint.description, peerAddress: row.endpoint.description,
      location: row.location)
  }
}

extension AdminDocument.Status {
  /// The document of a status.
  package init(_ status: ClusterStatus) {
    self.init(
      node: status.local, claimant: status.claimant, ringReady: status.isRingReady,
      version: status.version, ringSize: status.owners.count,
      members: status.members.map {
        AdminDocument.MemberDocument($0, ringSize: status.owners.count)
      },
      owners: status.owners,
      transfers: status.transfers.map {
        AdminDocument.Transfer(
          kind: $0.kind, partition: $0.partition, from: $0.from, to: $0.to, objects: $0.objects,
          bytes: $0.bytes, active: $0.isActive, totalObjects: $0.totalObjects,
          bytesPerSecond: $0.bytesPerSecond, secondsLeft: $0.secondsLeft)
      },
      staged: status.staged.map { AdminDocument.Change(action: $0.action, details: $0.details) })
  }
}

extension AdminDocument.Plan {
  /// The document of a plan.
  package init(_ plan: ClusterPlan) {
    let ringSize = plan.membersAfter.reduce(0) { $0 + $1.partitions }
    self.init(
      changes: plan.changes.map { AdminDocument.Change(action: $0.action, details: $0.details) },
      membersAfter: plan.membersAfter.map {
        AdminDocument.MemberDocument($0, ringSize: ringSize)
      },
      moves: plan.moves.map {
        AdminDocument.Move(
          from: $0.from, to: $0.to, count: $0.count, transfersData: $0.transfersData)
      },
      warnings: plan.warnings, notes: plan.notes)
  }
}

extension MemberStatus {
  /// The word operators read.
  var text: String {
    switch self {
    case .joining: "joining"
    case .valid: "valid"
    case .leaving: "leaving"
    case .exiting: "exiting"
    case .down: "down"
    }
  }
}
