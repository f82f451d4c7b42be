import ArgumentParser
import Foundation
import FoundationNetworking
import KVClient
import SpineServices

/// `spine demo`: synthetic patients and prescriptions, a mixed load, and proof that nothing is lost.
struct DemoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Load synthetic data, run a mixed load, and verify every acknowledged write.",
    discussion: """
      Phases: prepare, patients, prescriptions, mixed, drain, verify. Each is marked by the lines
      `PHASE name start` and `PHASE name end`, so that a script can stop and restart nodes meanwhile.
      The last phases wait until all nodes report no hints and no handoffs (with --http), and read
      everything acknowledged from every --endpoint with r=1. Exit status 1 when anything is lost.

      The data follow from --seed; use another one for another run on the same cluster.

      Example:
        spine demo --patients 10000 --prescriptions 20000 --mixed-seconds 30 \\
          --endpoint 127.0.0.1:8087 --endpoint 127.0.0.1:8187 --endpoint 127.0.0.1:8287 \\
          --http 127.0.0.1:8098 --http 127.0.0.1:8198 --http 127.0.0.1:8298
      """)

  @OptionGroup var cluster: ClusterOptions
  @Option(help: "Synthetic patients.") var patients = 10_000
  @Option(help: "Synthetic prescriptions.") var prescriptions = 20_000
  @Option(help: "How long the mixed load lasts.") var mixedSeconds = 30
  @Option(help: "What all data follow from.") var seed: UInt64 = 1
  @Option(help: "Operations under way at once.") var concurrency = 64
  @Option(help: "A node's HTTP port, host:port; repeat for each node.") var http: [String] = []
  @Option(help: "How long to wait for hints and handoffs to drain.") var drainSeconds = 120
  @Flag(help: "Write an audit event for every read of a patient or summary.") var audit = false

  func validate() throws {
    guard patients > 0, (0..<1 << 20).contains(prescriptions), mixedSeconds >= 0, concurrency > 0
    else {
      throw ValidationError("counts must be positive, and prescriptions fewer than 1048576")
    }
  }

  func run() async throws {
    let endpoints = try cluster.endpoints()
    let client = KVClient(configuration: configuration(endpoints))
    let spine = Spine(store: ClientBucketStore(client: client), audits: audit)
    let workload = DemoWorkload(
      spine: spine,
      generator: DemoGenerator(seed: seed, patientCount: patients, today: .now))
    let run = DemoRun(workload: workload, concurrency: concurrency) { say($0) }
    say("PHASE prepare start")
    do {
      try await spine.prepare()
    } catch {
      say("the cluster does not answer: \(error)")
      throw ExitCode(2)
    }
    say("PHASE prepare end")
    await run.loadPatients()
    await run.uploadPrescriptions(prescriptions)
    await run.runMixedLoad(for: .seconds(mixedSeconds), seed: seed)
    await client.close()
    showRates(workload)
    await drain(run)
    let isSound = await verify(run, endpoints)
    guard isSound, workload.metrics.total.failed == 0 else { throw ExitCode(1) }
  }

  private func configuration(_ endpoints: [KVEndpoint]) -> KVClientConfiguration {
    var configuration = KVClientConfiguration(endpoints: endpoints)
    configuration.connectionsPerEndpoint = max(16, concurrency)
    return configuration
  }

  // MARK: Results

  private func showRates(_ workload: DemoWorkload) {
    var table = TextTable(header: [
      "Operation", "Done", "p50 ms", "p95 ms", "p99 ms", "max ms", "Refused", "Repeated", "Unknown",
      "Failed",
    ])
    for (operation, row) in workload.metrics.rows {
      let times = [
        row.done.percentile(0.5), row.done.percentile(0.95), row.done.percentile(0.99),
        row.done.longest,
      ]
      let counts = [row.refused, row.repeated, row.unknown, row.failed]
      table.rows.append(
        [operation.rawValue, String(row.done.count)] + times.map(milliseconds)
          + counts.map(String.init))
    }
    say(table.text)
    let refusals = workload.metrics.refusals
    if !refusals.isEmpty { say("refused by the rules: \(refusals.joined(separator: ", "))") }
    if let failure = workload.metrics.lastFailure { say("last failure: \(failure)") }
    say("acknowledged writes: \(workload.ledger.writeCount)")
  }

  private func milliseconds(_ duration: Duration) -> String {
    String(format: "%.1f", duration / .milliseconds(1))
  }

  private func verify(_ run: DemoRun, _ endpoints: [KVEndpoint]) async -> Bool {
    let clients = endpoints.map { ($0.description, KVClient(configuration: configuration([$0]))) }
    let nodes = clients.map { name, client in
      (
        name: name,
        store: ClientBucketStore(client: client, readsOneReplica: true) as any BucketStore
      )
    }
    let result = await run.verify(nodes)
    for (_, client) in clients { await client.close() }
    for line in result.lost { say("LOST \(line)") }
    say(
      "verified \(result.checked) keys over \(nodes.count) nodes with r=1: lost \(result.lostCount), "
        + "only at a second read \(result.late)")
    return result.lostCount == 0
  }

  // MARK: Draining

  /// Waits until every node says that it holds no hints and hands nothing off, twice in a row.
  private func drain(_ run: DemoRun) async {
    guard !http.isEmpty else {
      say("no --http given: not waiting for hints to drain")
      return
    }
    await run.phase("drain") {
      let deadline = ContinuousClock.now + .seconds(drainSeconds)
      var quiet = 0
      while quiet < 2, ContinuousClock.now < deadline {
        var pending: [String] = []
        for node in http {
          let state = await pendingWork(at: node)
          if state != "0 hints, 0 handoffs" { pending.append("\(node): \(state)") }
        }
        quiet = pending.isEmpty ? quiet + 1 : 0
        if !pending.isEmpty { say("  waiting for \(pending.joined(separator: "; "))") }
        try? await Task.sleep(for: .seconds(1))
      }
      if quiet < 2 { say("  still not drained after \(drainSeconds) s") }
    }
  }

  private struct NodeStats: Decodable {
    var hints_pending: Int
    var handoffs_active: Int
  }

  private func pendingWork(at node: String) async -> String {
    guard let url = URL(string: "http://\(node)/stats") else { return "'\(node)' is no address" }
    do {
      let (data, _) = try await URLSession.shared.data(
        for: URLRequest(url: url, timeoutInterval: 3))
      let stats = try JSONDecoder().decode(NodeStats.self, from: data)
      return "\(stats.hints_pending) hints, \(stats.handoffs_active) handoffs"
    } catch {
      return "no answer"
    }
  }
}
