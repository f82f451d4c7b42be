import KVBase
import KVModel
import KVNode

/// Clients that release one prescription after the other, all of them the same at the same time.
extension Simulation {
  /// The most virtual time a round should take while faults go on.
  private static let roundLimit = 20 * second
  /// The pause between the end of a race and the look at who won.
  private static let pause: UInt64 = 5_000_000

  /// Plays all rounds; those that faults kept from ending are ended when the faults are over.
  mutating func raceInRounds() throws(SimulationFailure) {
    startRace()
    let limit = UInt64(releases.count) * Self.roundLimit
    if try wait(upTo: limit, until: { $0.releases.isOver }) { return }
    isStormy = false
    guard try wait(upTo: limit, until: { $0.releases.isOver }) else {
      throw SimulationFailure(
        checker: .availability,
        explanation: "nobody wins round \(releases.key) in \(releases.attempts) attempts")
    }
  }

  /// All clients set out for the next step.
  private mutating func startRace() {
    releases.attempts += 1
    releases.racing = clients.count
    for client in clients.indices {
      // Half of the clients have been handed the prescription, the others look it up.
      let isHanded = releases.stage == .release && clients[client].random.chance(0.5)
      clients[client].registers[releases.key] = isHanded ? releases.issued : nil
      world.plan(.client(client), after: UInt64(clients[client].random.below(15_000_000)))
    }
  }

  /// A client sends its next request of the race.
  mutating func sendRelease(_ client: Int) {
    guard let place = somePlace(&clients[client].random) else { return leaveRace() }
    let key = releases.key
    switch (releases.stage, clients[client].registers[key]) {
    case (.issue, _): sendRegister(.create, key, client, nil, to: place)
    case (.release, nil): sendRegister(.read, key, client, nil, to: place)
    case (.release, let held?):
      sendRegister(.update(expected: held.number), key, client, held.context, to: place)
    }
  }

  /// A client has its answer, or will have none: who has just read what was issued releases it.
  mutating func continueRelease(_ client: Int) {
    guard releases.stage == .release, let held = clients[client].registers[releases.key],
      held.number == releases.issued?.number
    else { return leaveRace() }
    world.plan(.client(client), after: UInt64(clients[client].random.below(2_000_000)))
  }

  private mutating func leaveRace() {
    releases.racing -= 1
    if releases.racing == 0 { world.plan(.verdict, after: Self.pause) }
  }

  // MARK: The verdict

  /// Reads what the race has made of the prescription.
  mutating func askForVerdict() {
    guard let place = somePlace(&random) else { return world.plan(.verdict, after: Self.second) }
    let number = registers.begin(.read, key: releases.key, at: world.time)
    let id = world.submit(
      .get(Self.registerName(releases.key), GetOptions()), to: place)
    pending[id] = PendingRequest(
      client: nil, kind: .verdict(number), place: place, start: world.time)
    let limit = settings.shard.requestTimeout.wholeNanoseconds
    world.plan(.deadline(id), after: limit + settings.faults.longest + 10 * Self.second)
  }

  /// Takes in what is there after a race; a read that failed is repeated.
  mutating func takeVerdict(
    _ number: Int, _ reply: ClientReply
  ) throws(SimulationFailure) -> Bool {
    guard try takeRegister(number, reply, nil) else { return false }
    guard case .object(let object) = reply,
      case .done(let observed) = registers.operations[number - 1].outcome
    else {
      world.plan(.verdict, after: Self.second / 10)
      return true
    }
    let held = observed.map { Client.HeldRegister(context: object.clock, number: $0) }
    switch (releases.stage, held) {
    case (.issue, nil): repeatRace()
    case (.issue, let held?):
      try checkOnlyWinner(held.number)
      releases.issued = held
      begin(.release)
    case (.release, let held?) where held.number == releases.issued?.number: repeatRace()
    case (.release, let held?):
      try checkOnlyWinner(held.number)
      endRound(release: held.number)
    case (.release, nil):
      throw SimulationFailure(
        checker: .singleWinner, explanation: "r\(releases.key) was issued and is gone")
    }
    return true
  }

  private mutating func repeatRace() {
    world.probes.count("sim: race without a winner")
    startRace()
  }

  private mutating func begin(_ stage: ReleaseRounds.Stage) {
    releases.stage = stage
    releases.attempts = 0
    startRace()
  }

  private mutating func endRound(release: Int) {
    guard let issued = releases.issued else { return }
    world.probes.count("sim: prescription released")
    releases.finished.append(
      ReleaseRounds.Winners(issue: issued.number, release: release))
    releases.issued = nil
    if !releases.isOver { begin(.issue) }
  }

  /// The write that is there must be the only one of its step that a client was told of.
  private mutating func checkOnlyWinner(_ winner: Int) throws(SimulationFailure) {
    let step = registers.operations[winner - 1].kind
    var isTold = false
    for (number, operation) in registers.operations(of: releases.key)
    where operation.kind == step {
      switch operation.outcome {
      case .done where number != winner:
        throw SimulationFailure(
          checker: .singleWinner,
          explanation: "w\(number) was told that it won r\(releases.key), and w\(winner) did")
      case .done: isTold = true
      case .refused, .void:
        guard number == winner else { continue }
        throw SimulationFailure(
          checker: .singleWinner,
          explanation: "w\(number) won r\(releases.key) and was told \(operation.outcome)")
      case .unknown: world.probes.count("sim: race with an unknown outcome")
      }
    }
    world.probes.count(isTold ? "sim: winner told" : "sim: winner never told")
  }

  /// What a prescription is in the end must be what its round ended with.
  func checkReleased(_ key: Int, _ observed: Int?) throws(SimulationFailure) {
    guard workload == .releases, key < releases.finished.count,
      observed != releases.finished[key].release
    else { return }
    throw SimulationFailure(
      checker: .singleWinner,
      explanation: "r\(key) was released by w\(releases.finished[key].release) and is "
        + "\(observed.map { "w\($0)" } ?? "gone") in the end")
  }
}
