import KVBase
public import KVModel

/// Sends the objects of one partition to the vnode that should hold them.
///
/// It goes through the partition in key order, in one of three ways:
///
/// - *probing*: one batch is read and its names and clocks offered; the answer decides how to go on.
///   So a handoff that was broken off, or one that follows a finished transfer, does not send again
///   what the receiver has.
/// - *streaming*: whole batches, several on their way, up to a window of bytes.
/// - *comparing*: parts of the partition by number of objects and hash, at both ends from what is
///   stored; where they differ, names and clocks are offered and what is wanted is sent.
///
/// An ownership handoff that has streamed ends with a comparison of the whole partition. A hint is
/// removed when the receiver has it durably, unless it has changed since; an owner keeps its objects
/// until the ring says that the partition is another's, and then they are hints.
///
/// **Invariants**: nothing is removed, and nothing counted, before the receiver has it durably; an
/// ownership handoff completes only after every part of the partition was found to be at the
/// receiver; at most ``HandoffLimits/windowBytes``, and one batch more, wait for answers.
///
/// **Source**: reference section 4.6; the comparison is our own.
public struct HandoffSender: Sendable {
  /// Why objects are sent.
  public enum Kind: Hashable, Sendable {
    /// Another node owns the partition.
    case hinted
    /// Another node will own the partition.
    case ownership
  }

  /// What must be done next.
  public enum Action: Hashable, Sendable {
    /// Read objects after the key and give them to ``HandoffSender/scanned(_:into:)``: whole ones as
    /// they were when the handoff began, or present heads.
    case scan(after: ObjectKey?, headsOnly: Bool)
    /// Read the first of these objects, about a batch, and give them to
    /// ``HandoffSender/fetched(_:keyCount:into:)``.
    case fetch([ObjectKey])
    /// Send the message, and call ``HandoffSender/answerOverdue(number:into:)`` after a while.
    case send(PeerMessage, number: UInt32)
    /// Remove those of the objects that are still as they were sent or, by their heads, compared.
    case remove([ReplicaScan.Entry], areHeads: Bool)
    /// The receiver has every object.
    case completed
    /// The receiver refused, did not answer, or lacks what it acknowledged; a later handoff goes on.
    case failed(String)
  }

  /// How long an answer may take before the message is sent again.
  public static let answerTimeout = Duration.seconds(5)
  static let attemptLimit = 3
  /// A partition of up to this many bytes is sent unasked.
  static let smallBytes = 8 << 10
  static let compareWindow = 4

  enum Phase: Hashable, Sendable {
    case probing
    case streaming
    case comparing
  }

  /// Something that waits for the receiver's answer.
  struct Pending: Hashable, Sendable {
    enum Content: Hashable, Sendable {
      /// Objects on their way; once there, they are to be offered again when `isChecked`.
      case batch(isChecked: Bool)
      /// The first objects, whole, on offer.
      case probe
      /// Heads, compared by a digest.
      case comparison
      /// Heads of a part that differed, on offer.
      case difference
      /// Objects that have been acknowledged, on offer: none may be wanted.
      case confirmation
    }

    var number: UInt32
    var content: Content
    var message: PeerMessage
    var entries: [ReplicaScan.Entry]
    /// Behind this key the reading for it began.
    var after: ObjectKey?
    /// The last key that was read for it.
    var through: ObjectKey?
    var byteCount: Int
    var attempts = 1
    var isAnswered = false
  }

  /// Why objects are sent.
  public let kind: Kind
  /// The partition.
  public let partition: PartitionID
  /// The shard that runs the receiving vnode.
  public let target: Address
  /// The sender's operation.
  public let operation: OperationID
  /// Whether the receiver knows ``HandoffMessage``; without it everything is streamed.
  public let canCompare: Bool
  /// How much may be on its way.
  public let limits: HandoffLimits

  /// Objects known to be at the receiver; those of a comparison at the end are not counted twice.
  public internal(set) var objects = 0
  /// Bytes of objects that were sent and acknowledged.
  public internal(set) var bytes = 0
  /// Objects that a comparison found missing.
  public internal(set) var differences = 0
  /// Everything up to this key has been streamed and acknowledged: where a handoff that is broken
  /// off may go on.
  public internal(set) var resumeKey: ObjectKey?

  var phase: Phase
  var pending: [Pending] = []
  var nextNumber: UInt32 = 0
  var cursor: ObjectKey?
  var hasReachedEnd = false
  /// What is to be read next, once asked for.
  public internal(set) var read: Action?
  /// Objects that the receiver lacks and that are still to be read.
  var missing: [ObjectKey] = []
  /// True while all is compared for the last time: nothing is streamed any more.
  public internal(set) var isFinal = false
  var hasEnded = false

  /// A handoff of `partition` to the shard `target`, which goes on behind `resumeKey` if given.
  public init(
    kind: Kind, partition: PartitionID, target: Address, operation: OperationID,
    limits: HandoffLimits, canCompare: Bool, resumeKey: ObjectKey? = nil
  ) {
    self.kind = kind
    self.partition = partition
    self.target = target
    self.operation = operation
    self.limits = limits
    self.canCompare = canCompare
    self.resumeKey = resumeKey
    cursor = resumeKey
    phase = canCompare && resumeKey == nil ? .probing : .streaming
  }

  /// True when the objects read next are whole ones.
  public var readsWholeObjects: Bool { read != .scan(after: cursor, headsOnly: true) }

  /// True while message `number` waits for its answer.
  public func isWaiting(for number: UInt32) -> Bool {
    pending.contains { $0.number == number && !$0.isAnswered }
  }

  /// Begins.
  public mutating func start(into actions: inout [Action]) { advance(into: &actions) }

  /// Takes in the objects read for ``Action/scan(after:headsOnly:)``.
  public mutating func scanned(_ scan: ReplicaScan, into actions: inout [Action]) {
    guard read != nil, !hasEnded else { return }
    read = nil
    let after = cursor
    cursor = scan.entries.last?.key ?? cursor
    hasReachedEnd = scan.isComplete
    if scan.entries.isEmpty {
      if !hasReachedEnd { return end(.failed("a scan found nothing and no end"), into: &actions) }
    } else {
      switch phase {
      case .probing where !scan.isComplete || Self.byteCount(scan.entries) > Self.smallBytes:
        offer(scan.entries, .probe, into: &actions)
      case .probing, .streaming:
        phase = .streaming
        send(scan.entries, isChecked: false, into: &actions)
      case .comparing: compare(scan, after: after, into: &actions)
      }
    }
    advance(into: &actions)
  }

  /// Takes in the objects read for the first keys of ``Action/fetch(_:)``; some may be gone.
  public mutating func fetched(
    _ entries: [ReplicaScan.Entry], keyCount: Int, into actions: inout [Action]
  ) {
    guard read != nil, !hasEnded else { return }
    read = nil
    missing.removeFirst(min(keyCount, missing.count))
    if !entries.isEmpty { send(entries, isChecked: true, into: &actions) }
    advance(into: &actions)
  }

  /// Sends message `number` again if it still waits for its answer; gives up after a few times.
  public mutating func answerOverdue(number: UInt32, into actions: inout [Action]) {
    guard !hasEnded,
      let index = pending.firstIndex(where: { $0.number == number && !$0.isAnswered })
    else { return }
    guard pending[index].attempts < Self.attemptLimit else {
      return end(.failed("no answer"), into: &actions)
    }
    pending[index].attempts += 1
    actions.append(.send(pending[index].message, number: number))
  }

  // MARK: Going on

  /// Reads on while the window has room, and ends when nothing is left.
  mutating func advance(into actions: inout [Action]) {
    guard read == nil, !hasEnded else { return }
    if !missing.isEmpty {
      if hasBatchRoom { ask(.fetch(Array(missing.prefix(limits.batchCount))), into: &actions) }
      return
    }
    if hasReachedEnd {
      guard pending.isEmpty else { return }
      guard phase != .comparing, kind == .ownership, canCompare else {
        return end(.completed, into: &actions)
      }
      phase = .comparing
      isFinal = true
      cursor = nil
      hasReachedEnd = false
    }
    if hasRoom { ask(.scan(after: cursor, headsOnly: phase == .comparing), into: &actions) }
  }

  private mutating func ask(_ action: Action, into actions: inout [Action]) {
    read = action
    actions.append(action)
  }

  private var hasRoom: Bool {
    switch phase {
    case .probing: pending.isEmpty
    case .streaming: hasBatchRoom
    // What a first comparison finds decides how to go on.
    case .comparing: pending.count < (isFinal ? Self.compareWindow : 1)
    }
  }

  private var hasBatchRoom: Bool {
    pending.count < limits.windowCount
      && pending.reduce(0) { $0 + ($1.isAnswered ? 0 : $1.byteCount) } < limits.windowBytes
  }

  mutating func end(_ action: Action, into actions: inout [Action]) {
    hasEnded = true
    actions.append(action)
  }

  // MARK: Messages

  mutating func send(
    _ entries: [ReplicaScan.Entry], isChecked: Bool, into actions: inout [Action]
  ) {
    let batch = HandoffBatch(
      operation: operation, partition: partition, number: nextNumber, entries: entries)
    wait(
      .batch(isChecked: isChecked), .handoff(batch), entries, Self.byteCount(entries),
      into: &actions)
  }

  mutating func offer(
    _ entries: [ReplicaScan.Entry], _ content: Pending.Content, into actions: inout [Action]
  ) {
    var items: [HandoffOffer.Item] = []
    for entry in entries {
      guard let clock = Self.clock(of: entry) else {
        return end(.failed("an object here does not decode"), into: &actions)
      }
      items.append(HandoffOffer.Item(key: entry.key, clock: clock))
    }
    let offer = HandoffOffer(
      operation: operation, partition: partition, number: nextNumber, items: items)
    wait(content, .handoffMessage(.offer(offer)), entries, 0, into: &actions)
  }

  private mutating func compare(
    _ scan: ReplicaScan, after: ObjectKey?, into actions: inout [Action]
  ) {
    var digest = PartitionDigest()
    for entry in scan.entries { digest.add(entry.key, head: entry.encoded) }
    let comparison = HandoffComparison(
      operation: operation, partition: partition, number: nextNumber, after: after,
      through: scan.entries.last?.key, digest: digest)
    wait(.comparison, .handoffMessage(.compare(comparison)), scan.entries, 0, into: &actions)
    pending[pending.count - 1].after = after
  }

  private mutating func wait(
    _ content: Pending.Content, _ message: PeerMessage, _ entries: [ReplicaScan.Entry],
    _ byteCount: Int, into actions: inout [Action]
  ) {
    pending.append(
      Pending(
        number: nextNumber, content: content, message: message, entries: entries,
        through: cursor, byteCount: byteCount))
    actions.append(.send(message, number: nextNumber))
    nextNumber += 1
  }

  private static func byteCount(_ entries: [ReplicaScan.Entry]) -> Int {
    entries.reduce(0) { $0 + $1.encoded.count + $1.key.key.count }
  }

  /// The clock of an object that is given whole or by its head.
  static func clock(of entry: ReplicaScan.Entry) -> VersionVector? {
    (try? KVObject(encodedHead: entry.encoded))?.clock
  }
}
