import KVBase
import KVClient
import KVModel
import Synchronization

/// Clients that race to issue and to release prescriptions, and the ledger of what they were told.
///
/// **Concurrency**: different rounds may be played at the same time.
final class ReleaseRace: Sendable {
  /// What came of the rounds.
  struct Counts: Sendable {
    var rounds = 0
    var requests = 0
    /// Steps whose winner was told so, and those whose winner had no answer.
    var toldWinners = 0
    var untoldWinners = 0
    /// Puts whose outcome the client never learnt, and those that certainly did nothing.
    var unknown = 0
    var void = 0
    /// Races after which the step was still to be made.
    var repeated = 0
    var longestRound = Duration.zero
  }

  private enum Step: String {
    case issue
    case release
  }

  /// What a client was told of its put.
  private enum Answer: Sendable {
    case won
    case lost
    case unknown
    case void
  }

  private struct Reading {
    var object: FetchedObject?
  }

  private struct State {
    var counts = Counts()
    var violations: [String] = []
    /// The value that each round ended with.
    var released: [Int: Bytes] = [:]
    var lastFailure = "none"
  }

  private let client: KVClient
  private let bucket: BucketID
  private let clients: Int
  private let patience: Duration
  private let state = Mutex(State())

  init(client: KVClient, type: Bytes, clients: Int, patience: Duration) {
    self.client = client
    self.clients = clients
    self.patience = patience
    bucket = BucketID(type: type, name: Bytes("prescriptions".utf8))
  }

  var counts: Counts { state.withLock { $0.counts } }
  var violations: [String] { state.withLock { $0.violations } }
  var lastFailure: String { state.withLock { $0.lastFailure } }

  private func name(_ round: Int) -> ObjectKey {
    ObjectKey(bucket: bucket, key: Bytes("rx \(round)".utf8))
  }

  /// Plays one round; false when the cluster does not answer.
  func play(_ round: Int, _ random: inout SeededRandom) async -> Bool {
    let start = ContinuousClock.now
    guard let issued = await decide(.issue, round, over: nil, &random, start + patience),
      let released = await decide(.release, round, over: issued, &random, start + patience)
    else { return false }
    state.withLock { state in
      state.released[round] = released.value?.value ?? []
      state.counts.rounds += 1
      state.counts.longestRound = max(
        state.counts.longestRound, start.duration(to: .now))
    }
    return true
  }

  /// Reads every prescription again, when the faults are over; false when one cannot be read.
  func confirm(rounds: Int) async -> Bool {
    let deadline = ContinuousClock.now + patience
    for round in 0..<rounds {
      guard let value = state.withLock({ $0.released[round] }) else { continue }
      guard let present = await read(round, until: deadline) else { return false }
      if present.object?.value?.value != value {
        report("WRONG rx \(round) was released by \(text(value)), is \(text(present.object))")
      }
    }
    return true
  }

  // MARK: A race

  /// Lets all clients race for a step until somebody has made it.
  ///
  /// - Returns: the prescription after the step; nil when the cluster does not answer.
  private func decide(
    _ step: Step, _ round: Int, over issued: FetchedObject?, _ random: inout SeededRandom,
    _ deadline: ContinuousClock.Instant
  ) async -> FetchedObject? {
    var answers: [Bytes: Answer] = [:]
    for attempt in 1... {
      let race = await race(step, round, attempt, over: issued, &random)
      answers.merge(race) { $1 }
      guard let present = await read(round, until: deadline) else { return nil }
      if let object = present.object, object.value?.value != issued?.value?.value {
        check(object, answers, step, round)
        return object
      }
      state.withLock { $0.counts.repeated += 1 }
      guard ContinuousClock.now < deadline else { return nil }
    }
    return nil
  }

  private func race(
    _ step: Step, _ round: Int, _ attempt: Int, over issued: FetchedObject?,
    _ random: inout SeededRandom
  ) async -> [Bytes: Answer] {
    await withTaskGroup(of: (Bytes, Answer)?.self) { group in
      for number in 0..<clients {
        // Half of the clients have been handed the prescription, the others look it up.
        let looksUp = step == .release && random.chance(0.5)
        group.addTask {
          var held = issued
          if looksUp {
            self.state.withLock { $0.counts.requests += 1 }
            held = (try? await self.client.get(self.name(round))) ?? nil
            guard let held, held.value?.value == issued?.value?.value else { return nil }
          }
          let value = Bytes("\(step.rawValue) \(round) by \(number) in race \(attempt)".utf8)
          return (value, await self.put(value, step, round, held))
        }
      }
      var answers: [Bytes: Answer] = [:]
      for await case let answer? in group { answers[answer.0] = answer.1 }
      return answers
    }
  }

  private func put(
    _ value: Bytes, _ step: Step, _ round: Int, _ held: FetchedObject?
  ) async -> Answer {
    var options = PutOptions()
    options.ifNoneMatch = step == .issue
    options.ifNotModified = step == .release
    state.withLock { $0.counts.requests += 1 }
    do throws(KVClientError) {
      try await client.put(
        Content(value: value), at: name(round), context: held?.context, options: options)
      return .won
    } catch {
      if [.matchFound, .modified, .notFound].contains(error.code) { return .lost }
      state.withLock {
        $0.lastFailure = "\(error)"
        if error.isAmbiguous { $0.counts.unknown += 1 } else { $0.counts.void += 1 }
      }
      return error.isAmbiguous ? .unknown : .void
    }
  }

  /// Reads a prescription until the cluster answers; nil when it does not.
  private func read(
    _ round: Int, until deadline: ContinuousClock.Instant
  ) async -> Reading? {
    while true {
      state.withLock { $0.counts.requests += 1 }
      do throws(KVClientError) {
        return Reading(object: try await client.get(name(round)))
      } catch {
        state.withLock { $0.lastFailure = "\(error)" }
        guard ContinuousClock.now < deadline else { return nil }
        try? await Task.sleep(for: .milliseconds(50))
      }
    }
  }

  // MARK: The ledger

  /// What is there must be one client's value; nobody else may have been told that it won.
  private func check(
    _ object: FetchedObject, _ answers: [Bytes: Answer], _ step: Step, _ round: Int
  ) {
    let winner = object.value?.value ?? []
    switch answers[winner] {
    case .won: state.withLock { $0.counts.toldWinners += 1 }
    case .unknown: state.withLock { $0.counts.untoldWinners += 1 }
    case .lost, .void:
      report("WRONG rx \(round): \(text(winner)) is there and was told that it is not")
    case nil: report("WRONG rx \(round): nobody wrote \(text(object))")
    }
    for (value, answer) in answers where answer == .won && value != winner {
      report("TWO WINNERS of rx \(round): \(text(value)) was told so, there is \(text(winner))")
    }
    if object.siblings.count != 1 { report("SIBLINGS of rx \(round): \(text(object))") }
  }

  private func text(_ value: Bytes) -> String { "'\(String(decoding: value, as: UTF8.self))'" }

  private func text(_ object: FetchedObject?) -> String {
    object.map { $0.siblings.map { text($0.value) }.joined(separator: ", ") } ?? "nothing"
  }

  private func report(_ violation: String) {
    state.withLock { if $0.violations.count < 1_000 { $0.violations.append(violation) } }
  }
}
