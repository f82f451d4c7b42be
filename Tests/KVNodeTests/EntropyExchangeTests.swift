import KVBase
import KVCluster
import KVModel
import KVNode
import KVStorage
import Testing

@Suite struct EntropyExchangeTests {
  private static func stores() throws -> [any ReplicaStore] {
    try (0..<2).map { _ in
      LSMReplicaStore(store: try Store.open(at: "data", fileSystem: CrashableFileSystem()))
    }
  }

  @Test func `equal replicas agree after one question`() throws {
    let fixture = try EntropyFixture(keyCount: 50)
    for key in fixture.keys { try fixture.write(key, [1], at: 0) }
    #expect(try fixture.exchange().outcome == .agreed)
    #expect(fixture.questions == [.root])
  }

  @Test func `one differing key is found and nothing else is touched`() throws {
    let fixture = try EntropyFixture(keyCount: 300)
    for key in fixture.keys { try fixture.write(key, [1], at: 0) }
    for (index, change) in [0, 1, 2, 3].enumerated() {
      let key = fixture.keys[40 + index]
      switch change {
      case 0: try fixture.remove(key, at: 0)
      case 1: try fixture.remove(key, at: 1)
      case 2: try fixture.write(key, [2], at: 0, replicates: false)
      default: try fixture.write(key, [3], at: 1, replicates: false)
      }
      fixture.questions = []
      let result = try fixture.exchange()
      #expect(result.outcome == .repaired)
      #expect(result.differing == 1)
      #expect(result.repaired == 1)
      #expect(try fixture.isEqual())
      let moved = fixture.questions.reduce(0) { sum, question in
        switch question {
        case .fetch(let wanted): sum + wanted.count
        case .root, .leaves, .entries, .push: sum
        }
      }
      #expect(moved == 1)
      #expect(try fixture.exchange().outcome == .agreed)
    }
  }

  @Test func `concurrent writes become siblings on both sides`() throws {
    let fixture = try EntropyFixture(keyCount: 5)
    let key = fixture.keys[2]
    try fixture.write(key, [1], at: 0, replicates: false)
    try fixture.write(key, [2], at: 1, replicates: false)
    #expect(try fixture.exchange().repaired == 2)
    #expect(try fixture.isEqual())
    #expect(try fixture.object(key, 0)?.siblings.map(\.content.value).count == 2)
  }

  @Test func `whatever two replicas hold, they hold the same afterwards`() throws {
    for seed in 1...10 {
      var random = SeededRandom(seed: UInt64(seed))
      let fixture = try EntropyFixture(keyCount: 1 + random.below(2_500), stores: Self.stores())
      let share = [0.01, 0.3, 1.0][random.below(3)]
      for key in fixture.keys { try fixture.write(key, [0], at: random.below(2)) }
      for key in fixture.keys where random.chance(share) {
        // After a removal a vnode that writes on would use its dots again.
        switch random.below(3) {
        case 0: try fixture.remove(key, at: random.below(2))
        case 1: try fixture.write(key, [1], at: random.below(2), replicates: false)
        default: for side in 0...1 { try fixture.write(key, [2], at: side, replicates: false) }
        }
      }
      _ = try fixture.exchange()
      #expect(try fixture.isEqual())
      #expect(try fixture.exchange().outcome == .agreed)
      #expect(fixture.largestMessage < 200_000)
    }
  }

  @Test(arguments: [0, 1])
  func `a replica that lost everything gets everything back`(_ side: Int) throws {
    let fixture = try EntropyFixture(keyCount: 2_300, stores: Self.stores())
    for key in fixture.keys { try fixture.write(key, [1], at: 0) }
    for key in fixture.keys { try fixture.remove(key, at: side) }
    let result = try fixture.exchange()
    #expect(result.outcome == .repaired)
    #expect(result.repaired == fixture.keys.count)
    #expect(try fixture.isEqual())
  }

  @Test func `large objects travel one to a message`() throws {
    let fixture = try EntropyFixture(keyCount: 8)
    let value = Bytes(repeating: 7, count: 700_000)
    for key in fixture.keys { try fixture.write(key, value, at: 0, replicates: false) }
    for key in fixture.keys.prefix(4) {
      let encoded = try #require(try fixture.keepers[0].object(key, in: fixture.partitions[0]))
      _ = try fixture.vnodes[1].merge(
        encoded, of: key, in: fixture.partitions[1], keepsSiblings: true
      ).get()
      try fixture.remove(key, at: 0)
    }
    #expect(try fixture.exchange().outcome == .repaired)
    #expect(try fixture.isEqual())
    #expect(fixture.largestMessage < 3 << 20)
  }

  @Test func `a write that is on its way is no difference`() throws {
    let fixture = try EntropyFixture(keyCount: 20)
    for key in fixture.keys { try fixture.write(key, [1], at: 0) }
    // The write is at one side when the roots are compared and at both when the leaves are again.
    try fixture.write(fixture.keys[3], [2], at: 0, replicates: false)
    fixture.meanwhile = { count in
      guard count == 2,
        let bytes = try fixture.keepers[0].object(
          fixture.keys[3], in: fixture.partitions[0])
      else { return }
      _ = fixture.vnodes[1].merge(
        bytes, of: fixture.keys[3], in: fixture.partitions[1], keepsSiblings: true)
    }
    let result = try fixture.exchange()
    #expect(result.outcome == .agreed)
    #expect(result.repaired == 0)
  }

  @Test func `a key that changes between listing and repair is left alone`() throws {
    let fixture = try EntropyFixture(keyCount: 20)
    for key in fixture.keys { try fixture.write(key, [1], at: 0) }
    try fixture.write(fixture.keys[3], [2], at: 0, replicates: false)
    fixture.meanwhile = { _ in
      if case .entries? = fixture.questions.last {
        try fixture.write(fixture.keys[3], [3], at: 0)
      }
    }
    let result = try fixture.exchange()
    #expect(result.repaired == 0)
    #expect(result.differing == 1)
    #expect(try fixture.isEqual())
  }

  @Test func `a vnode refuses what it cannot answer`() throws {
    let fixture = try EntropyFixture(keyCount: 3)
    func answer(
      _ partition: PartitionID, _ signature: UInt64, _ group: TreeGroup
    ) -> EntropyAnswer {
      fixture.keepers[1].answer(
        EntropyRequest(
          operation: OperationID(rawValue: 1), number: 1, partition: partition, group: group,
          signature: signature, question: .root))
    }
    let signature = fixture.placement.signature
    #expect(answer(PartitionID(9), signature, fixture.group) == .refused(.notPrimary))
    #expect(
      answer(fixture.partitions[1], signature, TreeGroup(first: PartitionID(9), nVal: 3))
        == .refused(.notPrimary))
    #expect(answer(fixture.partitions[1], 1, fixture.group) == .refused(.otherPlacement))
    fixture.keepers[1].adopt([], fixture.placement, at: fixture.now.instant)
    fixture.keepers[1].adopt(
      [fixture.partitions[1]], fixture.placement, at: fixture.now.instant)
    #expect(answer(fixture.partitions[1], signature, fixture.group) == .refused(.notBuilt))
    #expect(try fixture.exchange().outcome == .refused(.notBuilt))
  }

  @Test func `an exchange ends on every answer that does not fit`() throws {
    let fixture = try EntropyFixture(keyCount: 3)
    let answers: [EntropyAnswer] = [
      .stored(changed: 1), .found([]), .leaves([]),
      .entries(EntropyPage(entries: [], through: nil)),
      .refused(.notPrimary),
    ]
    for answer in answers {
      var exchange = EntropyExchange(
        partition: fixture.partitions[0], peer: fixture.partitions[1],
        target: Address(node: NodeID(rawValue: 1), shard: ShardIndex(0)), group: fixture.group,
        operation: OperationID(rawValue: 7), signature: 0, pace: EntropyExchange.Pace())
      var actions: [EntropyExchange.Action] = []
      exchange.start(into: &actions)
      actions = []
      exchange.receive(
        EntropyReply(operation: OperationID(rawValue: 7), number: 1, answer: answer),
        fixture.keepers[0], into: &actions)
      #expect(actions.count == 1)
      guard case .finished? = actions.first else {
        Issue.record("\(answer) leads to \(actions)")
        continue
      }
    }
  }
}

@Suite struct EntropyScheduleTests {
  private let placement = KeyPlacement(
    ClusterView(local: TestCluster.member("n@test", 1), ringSize: 8))

  @Test func `every pair has its turn`() {
    var schedule = EntropySchedule()
    schedule.adopt([PartitionID(1), PartitionID(5)], placement)
    #expect(schedule.pairs.count == 12)
    let turns = (0..<12).compactMap { _ in schedule.take { _ in true } }
    #expect(Set(turns).count == 12)
    let chosen = schedule.take { $0.peer == PartitionID(6) }
    #expect(chosen?.peer == PartitionID(6))
    let none = schedule.take { _ in false }
    #expect(none == nil)
  }

  @Test func `what is known of a pair outlives a change of the others`() {
    var schedule = EntropySchedule()
    schedule.adopt([PartitionID(1), PartitionID(5)], placement)
    let pair = schedule.pairs[0]
    let time = WallClock(microseconds: 5)
    for (outcome, count) in [(EntropyExchange.Outcome.repaired, 3), (.agreed, 0)] {
      let isDoubtful = schedule.ended(pair, outcome, repairedCount: count, at: time)
      #expect(!isDoubtful)
    }
    schedule.adopt([PartitionID(1)], placement)
    #expect(schedule.record(of: pair).agreedAt == time)
    #expect(schedule.record(of: pair).repairedCount == 3)
  }

  @Test func `trees that differ again and again where no key does are doubted`() {
    var schedule = EntropySchedule()
    schedule.adopt([PartitionID(1)], placement)
    let pair = schedule.pairs[0]
    let doubts = (0..<6).map { _ in
      schedule.ended(
        pair, .unresolved, repairedCount: 0, at: WallClock(microseconds: 1))
    }
    #expect(doubts == [false, false, true, false, false, true])
  }

  @Test func `a budget gives so many a second and saves up for one`() {
    var budget = EntropyBudget(perSecond: 1000)
    let takes = [
      (1000, 1, true), (1, 1, false), (600, 501, false), (500, 501, true), (1000, 100_000, true),
      (1000, 100_500, false),
    ]
    for (count, milliseconds, isGiven) in takes {
      let taken = budget.take(
        count, at: Instant(nanoseconds: UInt64(milliseconds) * 1_000_000))
      #expect(taken == isGiven, "\(count) at \(milliseconds)")
    }
  }
}
