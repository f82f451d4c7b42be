import KVBase
import Synchronization

/// The phases of a demo: load, mixed load, verification; each begins and ends with a marked line.
///
/// `PHASE name start` and `PHASE name end` are for scripts that do something to the cluster at a
/// certain time; the lines between are for people.
public struct DemoRun: Sendable {
  /// What is done.
  public let workload: DemoWorkload
  /// How many operations are under way at once.
  public let concurrency: Int
  private let report: @Sendable (String) -> Void

  /// A run of `workload`; `report` takes the lines.
  public init(
    workload: DemoWorkload, concurrency: Int, report: @escaping @Sendable (String) -> Void
  ) {
    precondition(concurrency > 0, "a run needs tasks, not \(concurrency)")
    self.workload = workload
    self.concurrency = concurrency
    self.report = report
  }

  /// Creates the patients.
  public func loadPatients() async {
    let count = workload.generator.patientCount
    await phase("patients") { await forEach(count) { await workload.createPatient($0) } }
  }

  /// Uploads prescriptions for them.
  public func uploadPrescriptions(_ count: Int) async {
    await phase("prescriptions") { await forEach(count) { await workload.upload($0) } }
  }

  /// Runs the mixed load for a time.
  public func runMixedLoad(for duration: Duration, seed: UInt64) async {
    await phase("mixed") {
      let deadline = ContinuousClock.now + duration
      await withTaskGroup { group in
        for worker in 0..<concurrency {
          group.addTask {
            var random = SeededRandom(seed: StableHash.mix(seed &+ UInt64(worker)))
            while ContinuousClock.now < deadline { await workload.mixed(&random) }
          }
        }
      }
    }
  }

  /// What a verification found.
  public struct Verification: Sendable {
    /// Claims checked, over all nodes.
    public var checked = 0
    /// Claims not met at the first read, but at a later one.
    public var late = 0
    /// Claims not met, in words; the first hundred.
    public var lost: [String] = []
    /// How many were not met.
    public var lostCount = 0
  }

  /// How often a claim is read before it counts as lost, and the pause between.
  private static let readAttempts = 4
  private static let readPause = Duration.milliseconds(500)

  /// Reads everything the ledger claims from each node.
  public func verify(_ nodes: [(name: String, store: any BucketStore)]) async -> Verification {
    let claims = workload.ledger.claims
    let result = Mutex(Verification())
    await phase("verify") {
      for node in nodes {
        let verifier = LedgerVerifier(store: node.store)
        let start = ContinuousClock.now
        await forEach(claims.count) { index in
          let (missing, reads) = await check(claims[index], verifier)
          result.withLock {
            $0.checked += 1
            if missing == nil, reads > 1 { $0.late += 1 }
            guard let missing else { return }
            $0.lostCount += 1
            if $0.lost.count < 100 { $0.lost.append("\(node.name): \(missing)") }
          }
        }
        let seconds = max(0.001, (ContinuousClock.now - start) / .seconds(1))
        report(
          "  \(node.name): \(claims.count) keys read with r=1, \(Int(Double(claims.count) / seconds)) "
            + "per second")
      }
    }
    return result.withLock { $0 }
  }

  private func check(
    _ claim: Ledger.Claim, _ verifier: LedgerVerifier
  ) async -> (missing: String?, reads: Int) {
    var missing: String?
    for attempt in 1...Self.readAttempts {
      do throws(SpineError) {
        missing = try await verifier.missing(claim)
      } catch {
        missing = "\(error)"
      }
      if missing == nil { return (nil, attempt) }
      try? await Task.sleep(for: Self.readPause)
    }
    return (missing, Self.readAttempts)
  }

  // MARK: Helpers

  /// Runs `body` for `0..<count`, as many at once as the run allows.
  private func forEach(_ count: Int, _ body: @escaping @Sendable (Int) async -> Void) async {
    let next = Counter()
    await withTaskGroup { group in
      for _ in 0..<min(concurrency, max(1, count)) {
        group.addTask {
          while true {
            let index = next.next()
            guard index < count else { return }
            await body(index)
          }
        }
      }
    }
  }

  /// Marks a phase and shows its progress every second.
  public func phase(_ name: String, _ body: () async -> Void) async {
    report("PHASE \(name) start")
    _ = workload.metrics.takePhase()
    let start = ContinuousClock.now
    let progress = Task {
      while !Task.isCancelled {
        try? await Task.sleep(for: .seconds(1))
        if !Task.isCancelled { reportProgress(name, since: start) }
      }
    }
    await body()
    progress.cancel()
    await progress.value
    reportSummary(name, since: start)
    report("PHASE \(name) end")
  }

  private func reportSummary(_ name: String, since start: ContinuousClock.Instant) {
    let done = workload.metrics.takePhase()
    guard done.count > 0 else { return }
    let seconds = max(0.001, (ContinuousClock.now - start) / .seconds(1))
    report(
      "  \(name): \(done.count) operations, \(Int(Double(done.count) / seconds)) per second, "
        + "p50 \(done.percentile(0.5).milliseconds) ms, p95 \(done.percentile(0.95).milliseconds) ms, "
        + "p99 \(done.percentile(0.99).milliseconds) ms, p99.9 \(done.percentile(0.999).milliseconds) ms"
    )
  }

  private func reportProgress(_ name: String, since start: ContinuousClock.Instant) {
    let interval = workload.metrics.takeInterval()
    let total = workload.metrics.total
    let seconds = Int((ContinuousClock.now - start) / .seconds(1))
    guard interval.count > 0 || name == "mixed" else { return }
    report(
      "  \(name) \(seconds) s: \(interval.count) ops/s, p50 \(interval.percentile(0.5).milliseconds) ms, "
        + "p99 \(interval.percentile(0.99).milliseconds) ms, done \(total.done.count), "
        + "repeated \(total.repeated), unknown \(total.unknown), failed \(total.failed)")
  }
}

/// Hands out the numbers from zero, to any task.
private final class Counter: Sendable {
  private let value = Atomic(0)

  func next() -> Int { value.wrappingAdd(1, ordering: .relaxed).oldValue }
}
