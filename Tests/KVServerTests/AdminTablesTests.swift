import Foundation
import KVBase
import KVCluster
import Testing

@testable import KVServer

/// The texts operators read, compared as a whole.
///
/// **Source**: reference sections 7.3 and 7.4.
@Suite struct AdminTablesTests {
  private func member(
    _ number: Int, _ status: MemberStatus, up: Bool = true, owns: Int, pending: Int
  ) -> ClusterStatus.MemberRow {
    ClusterStatus.MemberRow(
      name: "spinekv\(number)@127.0.0.1", status: status, isReachable: up, partitions: owns,
      pendingPartitions: pending,
      clientEndpoint: Endpoint(host: "127.0.0.1", port: UInt16(8087 + 100 * number)),
      endpoint: Endpoint(host: "127.0.0.1", port: UInt16(8099 + 100 * number)))
  }

  private func status(
    transfers: [ClusterStatus.TransferRow] = [], thirdIsUp: Bool = true
  ) -> AdminDocument.Status {
    AdminDocument.Status(
      ClusterStatus(
        local: "spinekv1@127.0.0.1", claimant: "spinekv1@127.0.0.1", isRingReady: true, version: 7,
        members: [
          member(1, .valid, owns: 32, pending: 22), member(2, .valid, owns: 32, pending: 21),
          member(3, .joining, up: thirdIsUp, owns: 0, pending: 21),
        ],
        owners: Array(repeating: "spinekv1@127.0.0.1", count: 32)
          + Array(repeating: "spinekv2@127.0.0.1", count: 32),
        transfers: transfers, staged: []))
  }

  @Test func `aae-status shows trees and when each pair last agreed`() throws {
    let pair = EntropyPair(
      partition: PartitionID(3), peer: PartitionID(40),
      group: TreeGroup(first: PartitionID(2), nVal: 3))
    var record = EntropySchedule.Record()
    record.agreedAt = WallClock(microseconds: 1_767_225_600_000_000)
    record.endedAt = WallClock(microseconds: 1_767_225_660_000_000)
    record.outcome = EntropyExchange.Outcome.repaired
    record.repairedCount = 12
    let shard = EntropyStatus(
      trees: [
        .init(
          partition: PartitionID(3), objects: 4711, byteCount: 526_336, builtAt: record.agreedAt,
          building: nil),
        .init(partition: PartitionID(5), objects: 0, byteCount: 0, builtAt: nil, building: 256),
      ],
      pairs: [
        .init(pair: pair, peerNode: NodeID(rawValue: 1), record: record, isActive: true)
      ], damagedPieces: 0)
    let cluster = ClusterStatus(
      local: "spinekv1@127.0.0.1", claimant: "spinekv1@127.0.0.1", isRingReady: true, version: 7,
      members: [], owners: Array(repeating: "spinekv2@127.0.0.1", count: 64), transfers: [],
      staged: [])
    let document = AdminDocument.Entropy([shard], cluster)
    let encoded = try AdminDocument.encoder.encode(document)
    #expect(
      try AdminDocument.decoder.decode(AdminDocument.Entropy.self, from: encoded) == document)
    #expect(
      AdminTables.entropyStatus(document) == """
        ================================= Hash Trees ==================================
        Partition  State                 Objects       KiB       Built
        -------------------------------------------------------------------------------
        3          built                 4711          514       2026-01-01T00:00:00Z
        5          building (256)        0             0         --

        ================================== Exchanges ==================================
        Vnode  Group    With                            Last agreed           Rep.
        -------------------------------------------------------------------------------
        3*     2/3      40 spinekv2@127.0.0.1           2026-01-01T00:00:00Z  12
               last: repaired, 2026-01-01T00:01:00Z

        Key: * = being compared; a group is its first partition and n_val;
        Rep. = objects repaired since the node started

        """)
  }

  @Test func `member-status shows shares of the ring`() {
    #expect(
      AdminTables.memberStatus(status()) == """
        ================================= Membership ==================================
        Status     Ring    Pending    Node
        -------------------------------------------------------------------------------
        valid      50.0%     34.4%    spinekv1@127.0.0.1
        valid      50.0%     32.8%    spinekv2@127.0.0.1
        joining     0.0%     32.8%    spinekv3@127.0.0.1
        -------------------------------------------------------------------------------
        Valid:2 / Leaving:0 / Exiting:0 / Joining:1 / Down:0

        """)
  }

  @Test func `ring-status without changes`() {
    #expect(
      AdminTables.ringStatus(status()) == """
        ================================== Claimant ===================================
        Claimant:  'spinekv1@127.0.0.1'
        Status:     up
        Ring Ready: true

        ============================== Ownership Handoff ==============================
        No pending changes.

        ============================== Unreachable Nodes ==============================
        All nodes are up and reachable

        """)
  }

  @Test func `ring-status with partitions on the move and an unreachable member`() {
    let text = AdminTables.ringStatus(
      status(
        transfers: [
          ClusterStatus.TransferRow(
            kind: "ownership", partition: 5, from: "spinekv1@127.0.0.1", to: "spinekv3@127.0.0.1",
            objects: 10, bytes: 100, isActive: true),
          ClusterStatus.TransferRow(
            kind: "ownership", partition: 9, from: "spinekv1@127.0.0.1", to: "spinekv3@127.0.0.1",
            objects: 0, bytes: 0, isActive: false),
        ], thirdIsUp: false))
    #expect(
      text.contains(
        """
        Owner:      spinekv1@127.0.0.1
        Next Owner: spinekv3@127.0.0.1

        Partition: 5  (being sent)
        Partition: 9  (waiting)
        -----
        """))
    #expect(text.contains("The following nodes are unreachable: ['spinekv3@127.0.0.1']"))
  }

  @Test func `cluster status is a bordered table that marks the claimant`() {
    #expect(
      AdminTables.clusterStatus(status(thirdIsUp: false)) == """
        ---- Cluster Status ----
        Ring ready: true

        +-------------------------+---------+---------+--------+---------+
        | node                    | status  | avail   | ring   | pending |
        +-------------------------+---------+---------+--------+---------+
        |  (C) spinekv1@127.0.0.1 | valid   |   up    |  50.0% |  34.4%  |
        |      spinekv2@127.0.0.1 | valid   |   up    |  50.0% |  32.8%  |
        |      spinekv3@127.0.0.1 | joining |  down!  |   0.0% |  32.8%  |
        +-------------------------+---------+---------+--------+---------+

        Key: (C) = Claimant; availability marked with '!' is unexpected

        """)
  }

  @Test func `a plan shows changes, members, warnings and moves`() {
    let plan = AdminDocument.Plan(
      ClusterPlan(
        changes: [ClusterPlan.Change(action: "join", details: "'spinekv2@127.0.0.1'")],
        membersAfter: [
          member(1, .valid, owns: 32, pending: 32), member(2, .valid, owns: 32, pending: 32),
        ],
        moves: [
          ClusterPlan.Move(
            from: "spinekv1@127.0.0.1", to: "spinekv2@127.0.0.1", count: 32, transfersData: true)
        ], warnings: ["Not all replicas will be on distinct nodes"]))
    #expect(
      AdminTables.plan(plan) == """
        =============================== Staged Changes ================================
        Action         Details(s)
        -------------------------------------------------------------------------------
        join           'spinekv2@127.0.0.1'
        -------------------------------------------------------------------------------

        NOTE: Applying these changes will result in 1 cluster transition

        ###############################################################################
                                 After cluster transition 1/1
        ###############################################################################

        Status     Ring    Pending    Node
        -------------------------------------------------------------------------------
        valid      50.0%      --      spinekv1@127.0.0.1
        valid      50.0%      --      spinekv2@127.0.0.1
        -------------------------------------------------------------------------------
        Valid:2 / Leaving:0 / Exiting:0 / Joining:0 / Down:0

        WARNING: Not all replicas will be on distinct nodes

        Transfers resulting from cluster changes: 32
          32 transfers from 'spinekv1@127.0.0.1' to 'spinekv2@127.0.0.1'

        """)
  }

  @Test func `an empty plan says so`() {
    let plan = ClusterPlan(changes: [], membersAfter: [], moves: [], warnings: [])
    #expect(AdminTables.plan(AdminDocument.Plan(plan)) == "There are no staged changes\n")
  }

  @Test func `transfers without any`() {
    #expect(AdminTables.transfers(status()) == "No transfers active\n")
  }

  @Test func `documents survive JSON with keys in snake case`() throws {
    let document = status()
    let data = try AdminDocument.encoder.encode(document)
    let text = String(decoding: data, as: UTF8.self)
    #expect(text.contains("\"ring_ready\" : true"))
    #expect(text.contains("\"pending_partitions\" : 22"))
    #expect(try AdminDocument.decoder.decode(AdminDocument.Status.self, from: data) == document)
  }

  @Test(arguments: [
    ("*", "anything", true), ("node_*", "node_gets", true), ("node_*", "vnode_gets", false),
    ("*_total", "gets_total", true), ("a*b*c", "a1b2c", true), ("a*b*c", "acb", false),
    ("gets", "gets", true), ("gets", "node_gets", false), ("ab*ba", "aba", false),
  ])
  func `patterns of statistics`(pattern: String, name: String, fits: Bool) {
    #expect(NamePattern(pattern).matches(name) == fits)
  }
}
