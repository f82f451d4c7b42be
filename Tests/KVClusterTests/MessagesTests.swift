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
      .unknownBucketType([1]), .tooLarge("x"), .storage("y"),
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
      .setProperties(
        PropertiesChange(operation: operation, bucket: bucket, properties: properties)),
      .setProperties(PropertiesChange(operation: operation, bucket: bucket, properties: nil)),
      .propertiesStored(operation),
      .transferCompleted(
        PendingTransfer(partition: partition, from: member.id, to: NodeID(rawValue: 2))),
      .transferProgress([row]), .drained, .stopNow,
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
    messages += failures.map {
      .forwardReply(ForwardReply(operation: operation, result: .failure($0)))
    }
    return messages
  }()

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
