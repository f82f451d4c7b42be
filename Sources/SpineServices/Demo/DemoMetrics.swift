import Synchronization

/// What a demo does to the services.
public enum DemoOperation: String, CaseIterable, Sendable {
  case createPatient = "patient create"
  case upload
  case readPatient = "patient read"
  case updatePatient = "patient update"
  case release
  case nominatedRelease = "nominated release"
  case dispense
  case claim
  case cancel
  case putSummary = "summary put"
  case getSummary = "summary get"
  case putRecord = "1.2 MB record put"
  case getRecord = "1.2 MB record get"
}

/// Latencies and outcomes of a run, by operation.
public final class DemoMetrics: Sendable {
  /// The outcomes of one operation.
  public struct Row: Sendable {
    /// Answered as hoped, with the time it took, repetitions included.
    public var done = LatencyHistogram()
    /// Answered with a published refusal.
    public var refused = 0
    /// Sent again after no or a doubtful answer.
    public var repeated = 0
    /// Given up with the outcome unknown.
    public var unknown = 0
    /// Failed in a way that should not happen.
    public var failed = 0
  }

  private struct State {
    var rows: [DemoOperation: Row] = [:]
    var interval = LatencyHistogram()
    var phase = LatencyHistogram()
    var lastFailure: String?
    var refusals: [String: Int] = [:]
  }

  private let state = Mutex(State())

  /// Metrics of nothing yet.
  public init() {}

  func finished(_ operation: DemoOperation, in duration: Duration) {
    state.withLock {
      $0.rows[operation, default: Row()].done.record(duration)
      $0.interval.record(duration)
      $0.phase.record(duration)
    }
  }

  func count(_ operation: DemoOperation, _ change: (inout Row) -> Void) {
    state.withLock { change(&$0.rows[operation, default: Row()]) }
  }

  func refused(_ operation: DemoOperation, _ code: SpineCode) {
    state.withLock {
      $0.rows[operation, default: Row()].refused += 1
      $0.refusals["\(operation.rawValue): \(code)", default: 0] += 1
    }
  }

  func failed(_ operation: DemoOperation, _ error: SpineError) {
    state.withLock {
      $0.rows[operation, default: Row()].failed += 1
      $0.lastFailure = "\(operation.rawValue): \(error)"
    }
  }

  /// Everything since the last call, for a line of progress.
  func takeInterval() -> LatencyHistogram {
    state.withLock {
      let interval = $0.interval
      $0.interval = LatencyHistogram()
      return interval
    }
  }

  /// Everything since the last call, for the summary of a phase.
  func takePhase() -> LatencyHistogram {
    state.withLock {
      let phase = $0.phase
      ($0.phase, $0.interval) = (LatencyHistogram(), LatencyHistogram())
      return phase
    }
  }

  /// The rows of the operations that took place, in a fixed order.
  public var rows: [(operation: DemoOperation, row: Row)] {
    state.withLock { state in
      DemoOperation.allCases.compactMap { operation in state.rows[operation].map { (operation, $0) }
      }
    }
  }

  /// The sums over all operations.
  public var total: Row {
    rows.reduce(into: Row()) { total, next in
      total.done.merge(next.row.done)
      total.refused += next.row.refused
      total.repeated += next.row.repeated
      total.unknown += next.row.unknown
      total.failed += next.row.failed
    }
  }

  /// How often each operation was refused with which published code.
  public var refusals: [String] {
    state.withLock { $0.refusals.sorted { $0.key < $1.key }.map { "\($0.key) (\($0.value)×)" } }
  }

  /// The last failure that should not happen.
  public var lastFailure: String? { state.withLock { $0.lastFailure } }
}
