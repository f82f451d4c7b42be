import ArgumentParser
import KVClient

/// A load on a real cluster that knows what was acknowledged; `scripts/torture` gives the orders.
struct LoadCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "load",
    abstract: "Writes to a real cluster and checks that nothing acknowledged is lost.",
    discussion: """
      Reads orders from standard input, one a line:
        check NAME   pauses the load, reads every key from all primaries, prints a line, goes on
        count NAME   prints how the operations have ended so far
        stop         checks once more and ends
      Exit status 1 when a write was lost or a sibling is wrong, 2 when the cluster does not answer.
      """)

  @OptionGroup var nodes: NodesOption
  @Option(help: "Keys written.") var keys = 1_000
  @Option(help: "Clients at work at once.") var clients = 32
  @Option(help: "What the clients' choices follow from.") var seed: UInt64 = 1
  @Option(help: "Seconds that a check may take.") var patience = 120

  func run() async throws {
    let load = Load(
      client: KVClient(configuration: try nodes.configuration()), keyCount: keys)
    try await prepare(load)
    say("READY")
    let clients = clients
    let seed = seed
    let work = Task { await load.run(clients: clients, seed: seed) }
    // Orders come on a thread of their own: waiting for a line blocks it.
    for await line in Self.orders() {
      let words = line.split(separator: " ", maxSplits: 1).map(String.init)
      let name = words.count > 1 ? words[1] : ""
      switch words.first {
      case "check": await check(load, name)
      case "count": count(load, name)
      default: break
      }
      if words.first == "stop" { break }
    }
    await check(load, "the end")
    load.stop()
    await work.value
    count(load, "in all")
    for violation in load.history.violations.prefix(50) { say(violation) }
    let violations = load.history.violations.count
    say("RESULT \(violations == 0 ? "clean" : "\(violations) VIOLATIONS")")
    if violations > 0 { throw ExitCode(1) }
  }

  private func prepare(_ load: Load) async throws {
    for attempt in 1... {
      do throws(KVClientError) { return try await load.prepare() } catch {
        guard attempt < 20 else {
          say("the cluster does not answer: \(error)")
          throw ExitCode(2)
        }
        try? await Task.sleep(for: .milliseconds(500))
      }
    }
  }

  private static func orders() -> AsyncStream<String> {
    AsyncStream { stream in
      startThread {
        while let line = readLine() { stream.yield(line) }
        stream.finish()
      }
    }
  }

  // MARK: Lines

  private func check(_ load: Load, _ name: String) async {
    await load.pause()
    let before = load.history.violations.count
    let unread = await load.check(within: .seconds(patience))
    let found = load.history.violations.count
    let counts = load.history.counts
    load.resume()
    let verdict = found == 0 && unread.isEmpty ? "ok" : "FAILED"
    say(
      "CHECK \(verdict) \(name): \(counts.acknowledged) acknowledged writes, "
        + "\(found - before) new violations, \(unread.count) of \(keys) keys unreadable")
    if !unread.isEmpty { say("  last failure: \(load.lastFailure)") }
    for violation in load.history.violations.dropFirst(before).prefix(5) { say("  \(violation)") }
  }

  private func count(_ load: Load, _ name: String) {
    let counts = load.counts
    let pause = counts.longestPause.components.seconds
    say(
      "COUNT \(name): \(counts.reads) reads, \(counts.writes) writes acknowledged, "
        + "\(counts.unknownWrites) unknown, \(counts.failedWrites) refused, "
        + "\(counts.failedReads) reads failed, longest pause \(pause) s, "
        + "last failure: \(load.lastFailure)")
  }
}
