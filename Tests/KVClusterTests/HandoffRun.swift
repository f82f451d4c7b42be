import KVBase
import KVCluster
import KVModel

/// Objects for handoffs: one writer's, so that a counter tells the version.
enum ReplicaFixture {
  static func object(_ counter: UInt64) -> KVObject {
    let actor = VnodeID(rawValue: 7)
    var object = KVObject()
    for number in 1...counter {
      object.write(
        Content(value: Bytes("v\(number)".utf8)), context: object.clock, by: actor)
    }
    return object
  }

  static func entry(_ name: String, _ counter: UInt64) -> ReplicaScan.Entry {
    ReplicaScan.Entry(
      key: ObjectKey(bucket: "b", key: name), encoded: object(counter).encoded().bytes)
  }
}

/// A sender with a receiver that is a table of versions by key; answers come in any order.
struct HandoffRun {
  var sender: HandoffSender
  var source: [ObjectKey: UInt64] = [:]
  var target: [ObjectKey: UInt64] = [:]
  let original: [ObjectKey: UInt64]
  /// Batches, counted from 0, that are acknowledged and forgotten.
  var droppedBatches: Set<Int> = []
  var sentObjects = 0
  var outcome: HandoffSender.Action?
  var shuffle: SeededRandom?
  private var batchCount = 0
  private var inFlight: [PeerMessage] = []

  static func key(_ index: Int) -> ObjectKey {
    ObjectKey(
      bucket: "b", key: "k" + String(repeating: "0", count: 3 - "\(index)".count) + "\(index)")
  }

  init(sender: HandoffSender, source count: Int, target there: Range<Int>) {
    self.sender = sender
    for index in 0..<count { source[Self.key(index)] = 2 }
    for index in there { target[Self.key(index)] = 2 }
    original = source
  }

  mutating func play() {
    var actions: [HandoffSender.Action] = []
    sender.start(into: &actions)
    perform(actions)
    while outcome == nil, !inFlight.isEmpty {
      let index = shuffle?.below(inFlight.count) ?? 0
      answer(inFlight.remove(at: index))
    }
  }

  private mutating func perform(_ actions: [HandoffSender.Action]) {
    var pending = actions[...]
    while let action = pending.popFirst() {
      var next: [HandoffSender.Action] = []
      switch action {
      case .scan(let after, let headsOnly):
        sender.scanned(scan(after, headsOnly), into: &next)
      case .fetch(let keys):
        // A batch may be smaller than asked for.
        let some = keys.prefix(max(1, keys.count / 2))
        sender.fetched(
          some.compactMap { key in source[key].map { entry(key, $0) } }, keyCount: some.count,
          into: &next)
      case .send(let message, _): inFlight.append(message)
      case .remove(let entries, _): for entry in entries { source[entry.key] = nil }
      case .completed, .failed: outcome = action
      }
      pending += next
    }
  }

  private func entry(_ key: ObjectKey, _ counter: UInt64) -> ReplicaScan.Entry {
    ReplicaScan.Entry(key: key, encoded: ReplicaFixture.object(counter).encoded().bytes)
  }

  private func head(_ key: ObjectKey, _ counter: UInt64) -> ReplicaScan.Entry {
    let (bytes, count) = ReplicaFixture.object(counter).encoded()
    return ReplicaScan.Entry(key: key, encoded: Bytes(bytes.prefix(count)))
  }

  /// Whole objects come from the snapshot, heads from the present.
  private func scan(_ after: ObjectKey?, _ headsOnly: Bool) -> ReplicaScan {
    let table = headsOnly ? source : original
    let keys = table.keys.sorted().filter { key in after.map { $0 < key } ?? true }
    let limit = headsOnly ? limits.compareCount : limits.batchCount
    let entries = keys.prefix(limit).map { key in
      headsOnly ? head(key, table[key] ?? 1) : entry(key, table[key] ?? 1)
    }
    return ReplicaScan(entries: entries, isComplete: keys.count <= limit)
  }

  var limits: HandoffLimits { sender.limits }

  private mutating func answer(_ message: PeerMessage) {
    var actions: [HandoffSender.Action] = []
    switch message {
    case .handoff(let batch):
      sentObjects += batch.entries.count
      if !droppedBatches.contains(batchCount) {
        for entry in batch.entries {
          let counter = (try? KVObject(encoded: entry.encoded))?.clock[VnodeID(rawValue: 7)] ?? 0
          target[entry.key] = max(target[entry.key] ?? 0, counter)
        }
      }
      batchCount += 1
      sender.receive(
        HandoffReceipt(operation: batch.operation, number: batch.number, isAccepted: true),
        into: &actions)
    case .handoffMessage(.compare(let comparison)):
      sender.receive(
        compared: HandoffReceipt(
          operation: comparison.operation, number: comparison.number,
          isAccepted: digest(comparison) == comparison.digest), into: &actions)
    case .handoffMessage(.offer(let offer)):
      let wanted = offer.items.indices.filter {
        offer.items[$0].clock[VnodeID(rawValue: 7)] > target[offer.items[$0].key] ?? 0
      }
      sender.receive(
        HandoffWish(operation: offer.operation, number: offer.number, wanted: wanted),
        into: &actions)
    default: break
    }
    perform(actions)
  }

  private func digest(_ comparison: HandoffComparison) -> PartitionDigest {
    var digest = PartitionDigest()
    for (key, counter) in target {
      if let after = comparison.after, key <= after { continue }
      if let through = comparison.through, key > through { continue }
      digest.add(key, head: head(key, counter).encoded)
    }
    return digest
  }
}
