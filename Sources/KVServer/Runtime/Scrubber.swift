import KVBase
import KVNode
import KVStorage
import Logging

/// The thread that reads the stores of a node through, again and again and slowly: rot is found while
/// other replicas still have what it has taken.
///
/// It reads one file at a time at full speed and then rests, so that the rate holds on average.
///
/// **Concurrency**: ``start()`` and ``stop()`` once each, from any thread.
final class Scrubber: @unchecked Sendable {
  private static let longestRest = Duration.seconds(3600)
  /// Between two files, however small; and after a store that could not be read.
  private static let shortestRest = Duration.seconds(1)

  private let stores: [ShardStore]
  private let bytesPerSecond: Int
  private let logger: Logger
  private let report: @Sendable (Int, ShardEvent) -> Void
  private let stopping = Latch()
  private let stopped = Latch()

  /// A scrubber that tells of damage by store, counted from 0; with a rate of 0 it does nothing.
  init(
    _ stores: [ShardStore], bytesPerSecond: Int, logger: Logger,
    report: @escaping @Sendable (Int, ShardEvent) -> Void
  ) {
    self.stores = stores
    self.bytesPerSecond = bytesPerSecond
    self.logger = logger
    self.report = report
  }

  func start() {
    guard bytesPerSecond > 0 else { return stopped.open() }
    startThread("scrub") { self.run() }
  }

  /// Waits for the file at hand, and ends the thread.
  func stop() {
    stopping.open()
    _ = stopped.wait(until: .distantFuture)
  }

  private func run() {
    var next = 0
    var rest = Self.shortestRest
    while !stopping.wait(until: SystemClock.instant() + rest) {
      rest = self.rest(after: scrub(next))
      next = (next + 1) % stores.count
    }
    stopped.open()
  }

  private func rest(after byteCount: Int) -> Duration {
    let milliseconds = Double(byteCount) / Double(bytesPerSecond) * 1000
    return min(max(.milliseconds(Int(milliseconds)), Self.shortestRest), Self.longestRest)
  }

  private func scrub(_ index: Int) -> Int {
    do throws(StorageError) {
      let (byteCount, found, texts) = try stores[index].scrub()
      for text in texts { logger.error("a scrub found damage: \(text)") }
      for event in found { report(index, event) }
      return byteCount
    } catch {
      logger.warning("a store cannot be scrubbed: \(error)")
      return 0
    }
  }
}
