import KVBase

/// Gives back the space of values that are no longer live, by moving the live rest of the emptiest
/// segments into new ones.
///
/// A value is live while the newest entry of its key refers to it. How much of a segment is live is
/// estimated from a sample of its keys; only the victims are gone through key by key. Moving goes in
/// small steps between flushes and compactions:
///
/// 1. Copy the live values of the victims to a segment of values; sync it; record it in the manifest.
/// 2. Append references to the copies to the journal, each only if its key has not changed meanwhile.
/// 3. Once these and all earlier writes are durable, remove the victims from the manifest, then their
///    files, when no read state knows them any more.
///
/// A crash between two steps leaves at worst copies that nothing refers to: the next estimate finds
/// them empty.
///
/// **Concurrency**: only the holder of the store's background lock may touch it.
///
/// **Source**: the journal's compaction of leveled; victims by the greedy rule of Rosenblum and
/// Ousterhout, *The design and implementation of a log-structured file system* (1992).
final class GarbageCollector {
  private let ledger: Ledger
  private var run: CollectionRun?
  /// Where the next estimate begins.
  private var nextEstimate = FileNumber(0)
  /// Segments that cannot be emptied, because they or entries that refer to them are damaged.
  private var held: Set<FileNumber> = []
  private var unestimatedByteCount = 0
  private var unturnedByteCount = 0
  private var appendedByteCount = 0
  /// Bytes that may be moved before more are earned.
  private(set) var credit = GarbageCollector.creditLimit

  private static let creditLimit = 64 << 20
  /// What one step may move.
  static let stepByteCount = 4 << 20
  private static let samplesPerSegment = 100
  private static let estimatesPerRun = 8
  /// Segments with less garbage are left alone: emptying one would move nearly all of it.
  private static let smallestGarbageShare = 0.05

  init(_ ledger: Ledger) { self.ledger = ledger }

  private var options: StoreOptions { ledger.options }

  /// Earns credit for bytes that writers appended: twice as many may be moved.
  ///
  /// In a store overwritten evenly at the default limit, about one byte is moved for each appended.
  func earn(appended total: Int) {
    let grown = total - appendedByteCount
    appendedByteCount = total
    unestimatedByteCount += grown
    unturnedByteCount += grown
    earn(2 * grown)
  }

  func earn(_ byteCount: Int) {
    credit = min(GarbageCollector.creditLimit, credit + byteCount)
  }

  /// Lets the next step estimate all segments anew, however little was appended.
  func requestEstimates() { unestimatedByteCount = 1 << 48 }

  /// Collects for a while: about as many bytes as were appended since the last turn, at least one
  /// step; false when nothing is due.
  func turn(_ engine: Engine) throws(StorageError) -> Bool {
    var budget = unturnedByteCount
    unturnedByteCount = 0
    guard try step(engine, &budget) else { return false }
    while budget > 0, try step(engine, &budget) {}
    return true
  }

  private func step(
    _ engine: Engine, _ budget: inout Int
  ) throws(StorageError) -> Bool {
    if run == nil {
      try estimate(engine)
      guard let victims = pickVictims(engine) else { return false }
      run = CollectionRun(victims, ledger)
    }
    guard credit > 0, let run else { return false }
    do throws(StorageError) {
      let moved = try run.step(engine, byteLimit: GarbageCollector.stepByteCount)
      credit -= moved
      budget -= moved
      if run.isDone { self.run = nil }
      return true
    } catch {
      run.discard()
      self.run = nil
      guard error.isCorruption else { throw error }
      // A scrub and every read tell of the damage; emptying the segment would lose the value for good.
      let damaged = run.victims.filter { $0.path == error.path }
      held.formUnion((damaged.isEmpty ? run.victims : damaged).map(\.number))
      return true
    }
  }

  /// True when a collection is under way but has no credit left.
  var isWaiting: Bool { run != nil && credit <= 0 }

  // MARK: Estimating

  /// Estimates some segments anew: all of few, else all in the time that the journal grows by a sixteenth.
  private func estimate(_ engine: Engine) throws(StorageError) {
    let segments = ledger.segments.segments
    let total = ledger.segments.byteCount
    guard total > 0, unestimatedByteCount > 0 else { return }
    let share = min(1, 16 * Double(unestimatedByteCount) / Double(total))
    let count = max(
      GarbageCollector.estimatesPerRun, Int((share * Double(segments.count)).rounded(.up)))
    unestimatedByteCount = 0
    let start = segments.firstIndex { !($0.number < nextEstimate) } ?? 0
    for index in 0..<min(count, segments.count) {
      let segment = segments[(start + index) % segments.count]
      do throws(StorageError) { try estimate(segment, engine) } catch {
        guard error.isCorruption else { throw error }
        held.insert(segment.number)
      }
      nextEstimate = FileNumber(segment.number.rawValue + 1)
    }
  }

  private func estimate(_ segment: Segment, _ engine: Engine) throws(StorageError) {
    let values = try SegmentIndex(of: segment, limit: GarbageCollector.samplesPerSegment).values
    let state = engine.readState
    var seen = 0
    var live = 0
    var original = 0
    for value in values {
      seen += value.byteCount
      guard let reference = try engine.reference(to: value, in: segment, state) else { continue }
      live += value.byteCount
      original += reference.pointer.valueByteCount
    }
    segment.liveness = seen == 0 ? 0 : Double(live) / Double(seen)
    segment.expansion = live == 0 ? 1 : Double(original) / Double(live)
  }

  // MARK: Picking

  /// The segments to empty; nil when there are none.
  ///
  /// None while the journal is within its limit, else those with the most garbage, together no more live
  /// bytes than one segment holds. Empty ones are always taken.
  private func pickVictims(_ engine: Engine) -> [Segment]? {
    let segments = ledger.segments.segments
    let total = ledger.segments.byteCount
    let live = segments.reduce(0) { $0 + $1.liveByteCount }
    let original = segments.reduce(0) { $0 + Double($1.liveByteCount) * $1.expansion }
    let isOver = Double(total - live) > (options.spaceAmplificationLimit - 1) * original
    let least = isOver ? GarbageCollector.smallestGarbageShare : 1
    var victims: [Segment] = []
    var moved = 0
    for segment in segments.sorted(by: { $0.garbageShare > $1.garbageShare })
    where segment.garbageShare >= least && !held.contains(segment.number) {
      moved += segment.liveByteCount
      if !victims.isEmpty, moved > engine.segmentByteLimit { break }
      victims.append(segment)
    }
    return victims.isEmpty ? nil : victims
  }
}
