import KVBase
import KVCluster
import KVModel
import Testing

@Suite struct MessagesTests {
  static let key = ObjectKey(type: "t", bucket: "b", key: "k")

  static let samples: [PeerMessage] = {
    let operation = OperationID(rawValue: 0x0102_0304_0506_0708)
    let partition = PartitionID(11)
    let bucket = BucketID(name: Bytes("b".utf8))
    var options = PutOptions()
    options.w = .all
    options.dw = .count(2)
    options.timeout = .milliseconds(1500)
    options.syncOnWrite = .one
    options.returnBody = true
    options.dataType = DataTypeUpdate(
      operation: .set(adds: [[1]], removes: [[2]]), context: VersionVector(), precision: 12)
    let context = VersionVector([Dot(actor: VnodeID(rawValue: 9), counter: 3)])
    let content = Content(
      value: [1, 2, 3], contentType: Bytes("text/plain".utf8),
      userMetadata: [Pair(key: [1], value: nil)], indexes: [Pair(key: [2], value: [3])])
    var object = KVObject()
    object.write(content, context: context, by: VnodeID(rawValue: 5))
    let encoded = object.encoded().bytes
    let member = Member(
      name: "n@h", endpoint: Endpoint(host: "h", port: 1),
      clientEndpoint: Endpoint(host: "h", port: 2), shardCount: 2, status: .valid)
    var view = ClusterView(local: member, ringSize: 8)
    view.cluster = 77
    view.version = 7
    view.transfers = [PendingTransfer(partition: partition, from: member.id, to: member.id)]
    view.unavailable = [NodeID(rawValue: 3)]
    var properties = BucketProperties()
    properties.precommit = [NamedFunction(module: nil, function: [1])]
    properties.opaque = [Pair(key: [1], value: [2])]
    view.properties = [ClusterView.BucketEntry(bucket: bucket, properties: properties)]
    let row = ClusterStatus.TransferRow(
      kind: "hinted", partition: 3, from: "a", to: "b", objects: 5, bytes: 6, isActive: true)
    let failures: [RequestFailure] = [
      .timeout, .overload, .rUnsatisfied(need: 2, got: 1), .prUnsatisfied(need: 2, got: 1),
      .dwUnsatisfied(need: 2, got: 1), .pwUnsatisfied(need: 2, got: 1),
      .nodeConfirmsUnsatisfied(need: 2, got: 1), .insufficientNodes(need: 2, got: 1),
      .insufficientVnodes(need: 2, got: 1), .nValViolation(4),
      .quorumViolation(option: "r", value: 9), .allNodesDown, .matchFound, .modified, .notFound,
      .unknownBucketType([1]), .tooLarge("x"), .storage("y"), .failed,
      .refused("z"),
    ]
    var messages: [PeerMessage] = [
      .membership([1, 2, 3]), .view(view, number: 4), .viewRequest(after: 3),
      .read(ReadRequest(operation: operation, partition: partition, key: key, byteLimit: 99)),
      .write(
        WriteRequest(
          operation: operation, partition: partition, key: key, encoded: encoded,
          keepsSiblings: true, waitsForSync: false, wantsReceipt: true)),
      .forward(
        ForwardedPut(
          operation: operation, partition: partition, key: key, context: context,
          content: content, options: options)),
      .forwardReply(ForwardReply(operation: operation, result: .success(encoded))),
      .index(
        IndexRequest(
          operation: operation, partition: partition, firstPartitions: [partition],
          query: IndexQuery(
            bucket: bucket, field: Bytes("a_bin".utf8), lower: [1], upper: [2],
            pattern: try? TermPattern(Bytes("a+".utf8))),
          after: IndexEntry(term: [1], key: [2]), limit: 5)),
      .indexReply(
        IndexReply(
          operation: operation, partition: partition,
          result: .success(
            IndexReply.Page(
              entries: [IndexEntry(term: [1], key: [2])], cursor: IndexEntry(term: [1], key: [2]))))
      ),
      .list(
        ListRequest(
          operation: operation, partition: partition, scope: .keys(bucket),
          firstPartitions: [partition], cursor: key, limit: 10)),
      .list(
        ListRequest(
          operation: operation, partition: partition, scope: .buckets(type: [1]),
          firstPartitions: [], cursor: nil, limit: 10)),
      .listReply(
        ListReply(
          operation: operation, partition: partition,
          result: .success(ListReply.Page(names: [[1], []], cursor: key)))),
      .handoff(
        HandoffBatch(
          operation: operation, partition: partition, number: 2,
          entries: [ReplicaScan.Entry(key: key, encoded: encoded)])),
      .handoffReceipt(HandoffReceipt(operation: operation, number: 2, isAccepted: true)),
      .handoffMessage(
        .compare(
          HandoffComparison(
            operation: operation, partition: partition, number: 3, after: nil, through: key,
            digest: PartitionDigest(count: 4, sum: .max)))),
      .handoffMessage(
        .compared(HandoffReceipt(operation: operation, number: 3, isAccepted: false))),
      .handoffMessage(
        .offer(
          HandoffOffer(
            operation: operation, partition: partition, number: 4,
            items: [HandoffOffer.Item(key: key, clock: context)]))),
      .handoffMessage(.wanted(HandoffWish(operation: operation, number: 4, wanted: [0, 3]))),
      .handoffMessage(.wanted(HandoffWish(operation: operation, number: 4, wanted: nil))),
      .handoffMessage(.limits(concurrency: 3, bytesPerSecond: 1 << 20)),
      .setProperties(
        PropertiesChange(operation: operation, bucket: bucket, properties: properties)),
      .setProperties(PropertiesChange(operation: operation, bucket: bucket, properties: nil)),
      .propertiesStored(operation),
      .transferCompleted(
        PendingTransfer(partition: partition, from: member.id, to: NodeID(rawValue: 2))),
      .transferProgress([row], isClosing: true), .drained, .stopNow,
    ]
    let order = ReapOrder(
      operation: operation, group: ReapGroup(in: view, first: PartitionID(6), n: 3),
      partitions: [PartitionID(7)], items: [ReapItem(key: key, clock: context)])
    var trimmed = ReapOrder(
      operation: operation, purpose: .trim, group: order.group, partitions: order.partitions,
      items: [ReapItem(key: key, clock: context, siblings: context.entries)])
    trimmed.items[0].retired = [VnodeID(rawValue: 4)]
    var vote = ReapVote(operation: operation, verdicts: [.same])
    vote.actors = [VnodeID(rawValue: 8)]
    let verdicts: [ReapVerdict] = [.clear, .same, .buried, .absent, .differs, .held, .busy]
    messages += [
      .reap(.ask(order)), .reap(.bury(order)), .reap(.bury(trimmed)), .reap(.vote(vote)),
      .reap(.vote(ReapVote(operation: operation, verdicts: verdicts))),
      .reap(.buried(ReapReceipt(operation: operation, count: 300))),
      .reap(.queue(partition, [key, key])),
    ]
    for reading: ReplicaReading in [
      .notFound, .whole(encoded), .head([1, 2]), .failure(.overload),
    ] {
      messages.append(
        .readReply(ReadReply(operation: operation, partition: partition, reading: reading)))
    }
    for outcome: WriteReply.Outcome in [.received, .stored, .refused(.storage("disk"))] {
      messages.append(
        .writeReply(WriteReply(operation: operation, partition: partition, outcome: outcome)))
    }
    messages += keyQuerySamples(operation, partition, bucket).map { .keyQuery($0) }
    messages += entropySamples(operation, partition, context, encoded).map { .entropy($0) }
    messages += failures.map {
      .forwardReply(ForwardReply(operation: operation, result: .failure($0)))
    }
    messages += consensusMessages(operation, encoded).map { .consensus($0, cluster: 7) }
    return messages
  }()

  private static func keyQuerySamples(
    _ operation: OperationID, _ partition: PartitionID, _ bucket: BucketID
  ) -> [KeyQueryMessage] {
    let place = KeyQueryMessage.Place(operation: operation, partition: partition, number: 3)
    var filtered = IndexQuery(
      bucket: bucket, field: Bytes("a_bin".utf8), lower: [1], upper: [2])
    filtered.filter = try? TermFilter(
      TermFilter.Source(
        evaluation: Bytes("delim($term, :d, ($a))".utf8), condition: Bytes("$a <> :n".utf8),
        substitutions: [
          QuerySubstitution(name: Bytes("d".utf8), value: .text([1])),
          QuerySubstitution(name: Bytes("n".utf8), value: .integer(-7)),
        ], reported: Bytes("a".utf8)))
    var matched = filtered
    matched.filter = nil
    matched.pattern = try? TermPattern(Bytes("a+".utf8))
    let parts = [filtered, matched, IndexQuery(bucket: bucket, field: [], lower: [], upper: nil)]
    let query = KeyQuery(
      bucket: bucket,
      parts: parts.enumerated().map { KeyQuery.Part(tag: $0.offset + 1, query: $0.element) },
      expression: .difference(.union(.query(1), .query(2)), .intersection(.query(3), .query(1))),
      answer: .keysByTerm)
    let page = KeyQueryPage(keys: [[1], []], terms: [.init(term: [2], count: 5)], count: 7)
    return [
      .begin(.init(place: place, firstPartitions: [partition], query: query)), .proceed(place),
      .giveUp(place), .step(place, .success(KeyQueryScan.Step(page: page, isLast: true))),
      .step(place, .failure(.tooLarge("x"))),
    ]
  }

  private static func foldSamples(
    _ operation: OperationID, _ partition: PartitionID, _ clock: VersionVector
  ) -> [EntropyMessage] {
    var query = FoldQuery(.size(moreThan: 1000))
    query.bucket = key.bucket
    query.from = [1]
    query.through = [2]
    query.modifiedFrom = WallClock(microseconds: 3)
    query.modifiedThrough = WallClock(microseconds: 4)
    let kinds: [FoldQuery.Kind] = [.statistics, .siblings(moreThan: 2), .tombstones, .live]
    var result = FoldResult()
    result.count = 3
    result.byteCount = 400
    result.sizes = [0, 1, 2]
    result.siblings = [0, 3]
    result.found = [FoldResult.Found(key: key, value: 7, clock: clock)]
    let page = FoldReply.Page(result: result, cursor: key)
    return ([query] + kinds.map { FoldQuery($0) }).map {
      .fold(
        FoldRequest(
          operation: operation, partition: partition, query: $0, firstPartitions: [partition],
          cursor: key))
    }
      + [.success(page), .failure(.overload)].map {
        .foldReply(FoldReply(operation: operation, partition: partition, result: $0))
      }
  }

  private static func entropySamples(
    _ operation: OperationID, _ partition: PartitionID, _ clock: VersionVector, _ encoded: Bytes
  ) -> [EntropyMessage] {
    var leaves = LeafSet()
    leaves.insert(LeafID(branch: 3, position: 200))
    leaves.insert(LeafID(branch: 255, position: 255))
    let questions: [EntropyQuestion] = [
      .root, .leaves([0, 255]), .entries(leaves, after: nil, through: key),
      .entries(.all, after: key, through: nil), .entries(LeafSet(), after: nil, through: nil),
      .fetch([EntropyWanted(key: key, wantsObject: true)]),
      .push([ReplicaScan.Entry(key: key, encoded: encoded)]),
    ]
    let entry = EntropyEntry(key: key, hash: 9, clock: clock)
    let answers: [EntropyAnswer] =
      EntropyRefusal.allCases.map { .refused($0) } + [
        .root([UInt64](repeating: 5, count: 256)),
        .leaves([[UInt64](repeating: 6, count: 256), [UInt64](repeating: 0, count: 256)]),
        .entries(EntropyPage(entries: [entry], through: key)),
        .entries(EntropyPage(entries: [], through: nil)),
        .found([
          EntropyFound(key: key, hash: 3, encoded: encoded),
          EntropyFound(key: key, hash: nil, encoded: nil),
        ]),
        .stored(changed: 12),
      ]
    let group = TreeGroup(first: partition, nVal: 3)
    let folds = foldSamples(operation, partition, clock)
    return folds
      + questions.map {
        .request(
          EntropyRequest(
            operation: operation, number: 4, partition: partition, group: group, signature: 8,
            question: $0))
      } + answers.map { .reply(EntropyReply(operation: operation, number: 4, answer: $0)) }
  }

  private static func consensusMessages(
    _ operation: OperationID, _ encoded: Bytes
  ) -> [ConsensusMessage] {
    let partition = PartitionID(11)
    let ballot = Ballot(counter: 5, actor: 6)
    let value = RegisterValue(object: encoded, recent: [7, 8])
    let mark = SeatMark(partition: partition, generation: 2)
    let stage = SeatStage(partition: partition, generation: 2, hop: 3)
    let entry = ReplicaScan.Entry(key: key, encoded: encoded)
    let catchUp = CatchUpRequest(
      partition: partition, neighbour: PartitionID(12), generation: 2, instance: 9, cursor: key)
    let steps: [RegisterRequest.Step] = [
      .query(byteLimit: 99), .prepare, .accept(value, quorum: [mark]),
    ]
    let votes: [RegisterVote.Outcome] = [
      .granted(accepted: ballot, value: value), .granted(accepted: .zero, value: nil),
      .refused(promised: ballot), .absent,
    ]
    let catchUps: [CatchUpReply.Outcome] = [
      .ready(fence: 3), .refused(fence: 4), .absent, .page([entry], next: key),
      .page([], next: nil),
    ]
    return steps.map {
      .request(
        RegisterRequest(
          operation: operation, partition: partition, key: key, n: 3, ballot: ballot, step: $0))
    }
      + votes.map {
        .vote(
          RegisterVote(
            operation: operation, partition: partition, phase: .prepare, ballot: ballot,
            outcome: $0, generation: 2, fences: [mark]))
      }
      + [
        .offer(stage), .claim(stage, instance: 9),
        .batch(SeatBatch(stage: stage, instance: 9, number: 4, entries: [entry])),
        .batchReceipt(stage, instance: 9, number: 4),
        .grant(stage, instance: 9, fences: [mark]), .settled(stage), .catchUp(catchUp),
      ] + catchUps.map { .catchUpReply(CatchUpReply(request: catchUp, outcome: $0)) }
  }

  @Test func `every message survives its encoding`() throws {
    for message in Self.samples {
      #expect(try PeerMessage(decoding: message.encoded()) == message)
    }
  }

  @Test func `no damage to a message does more than fail or change it`() {
    var random = SeededRandom(seed: 7)
    for message in Self.samples {
      let bytes = message.encoded()
      for length in 0..<bytes.count {
        _ = try? PeerMessage(decoding: Bytes(bytes.prefix(length)))
      }
      for _ in 0..<200 {
        var damaged = bytes
        for _ in 0..<(1 + random.below(4)) {
          damaged[random.below(damaged.count)] = UInt8(random.below(256))
        }
        guard let read = try? PeerMessage(decoding: damaged) else { continue }
        #expect((try? PeerMessage(decoding: read.encoded())) == read)
      }
    }
  }

  @Test func `other versions and unknown tags are refused`() {
    #expect(throws: DecodingFailure.self) { try PeerMessage(decoding: [2, 3]) }
    #expect(throws: DecodingFailure.self) { try PeerMessage(decoding: [1, 200]) }
    #expect(throws: DecodingFailure.self) { try PeerMessage(decoding: []) }
    let bytes = PeerMessage.drained.encoded()
    #expect(throws: DecodingFailure.self) { try PeerMessage(decoding: bytes + [0]) }
  }

  @Test func `the bytes on the wire are those of Docs-Protocols`() {
    let read = PeerMessage.read(
      ReadRequest(
        operation: OperationID(rawValue: 258), partition: PartitionID(11),
        key: ObjectKey(bucket: "b", key: "k"), byteLimit: 16_384))
    #expect(
      read.encoded() == [
        1, 4, 0, 0, 0, 0, 0, 0, 1, 2, 0, 11, 7, 100, 101, 102, 97, 117, 108, 116, 1, 98, 1, 107,
        0x80, 0x80, 1,
      ])
    let reply = PeerMessage.writeReply(
      WriteReply(
        operation: OperationID(rawValue: 258), partition: PartitionID(11), outcome: .stored))
    #expect(reply.encoded() == [1, 7, 0, 0, 0, 0, 0, 0, 1, 2, 0, 11, 1])
  }
}
