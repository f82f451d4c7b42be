import ArgumentParser
import Foundation
import KVBase
import KVStorage
import Synchronization

/// The child: writes until it is killed, or for a time and then closes the store.
///
/// What is durable it reports in ``Progress``. Each thread knows what its keys hold and checks it by
/// all ways of reading meanwhile.
struct WriteCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "write", abstract: "Writes until killed; started by `run`.", shouldDisplay: false)

  @Option(help: "The store's directory.")
  var directory: String

  @Option(help: "The process to end with.")
  var parent: Int32

  @Option(help: "After how many milliseconds to close the store; without it, never.")
  var closeAfter: Int?

  @OptionGroup var workload: Workload

  func run() throws {
    guard let progress = Progress(directory, threads: workload.threads),
      let expected = try ExpectedState(directory, workload)
    else { throw ValidationError("there is nothing to go on from; use `kvstress run`") }
    let options = workload.options(round: progress.life.round, .thread)
    let store = try Store.open(at: directory, fileSystem: PosixFileSystem(), options: options)
    let isEnding = Atomic<Bool>(false)
    let ended = DispatchGroup()
    for number in 0..<workload.threads {
      ended.enter()
      Thread {
        var writer = Writer(
          workload: workload, store: store, progress: progress, thread: number,
          keys: expected.threads[number])
        writer.run(until: isEnding)
        ended.leave()
      }.start()
    }
    watch(store, progress)
    isEnding.store(true, ordering: .relaxed)
    ended.wait()
    try store.close()
  }

  /// Updates the counters until the time is over; ends at once when the parent is gone.
  private func watch(_ store: Store, _ progress: Progress) {
    let end = closeAfter.map { ContinuousClock.now + .milliseconds($0) }
    while end.map({ ContinuousClock.now < $0 }) ?? true {
      usleep(20_000)
      let statistics = store.statistics()
      progress[.flushes] = statistics.flushCount
      progress[.compactions] = statistics.compactionCount
      progress[.collections] = statistics.collectionCount
      if getppid() != parent { kill(getpid(), SIGKILL) }
    }
  }
}

/// One thread of the child.
private struct Writer {
  let workload: Workload
  let store: Store
  let progress: Progress
  let thread: Int
  /// What the thread's keys hold.
  var keys: ExpectedState.Keys
  private var number = 0
  private var held: (snapshot: Snapshot, keys: ExpectedState.Keys, until: Int)?
  private var random: SeededRandom

  init(
    workload: Workload, store: Store, progress: Progress, thread: Int, keys: ExpectedState.Keys
  ) {
    self.workload = workload
    self.store = store
    self.progress = progress
    self.thread = thread
    self.keys = keys
    random = SeededRandom(seed: UInt64(progress.life.round) << 8 | UInt64(thread))
  }

  mutating func run(until isEnding: borrowing Atomic<Bool>) {
    do throws(StorageError) {
      while !isEnding.load(ordering: .relaxed) { try step() }
      try store.sync(through: store.appendedSequence)
      progress.setDurable(thread, number)
    } catch { fail("\(error)") }
  }

  private mutating func step() throws(StorageError) {
    number += 1
    let step = workload.step(round: progress.life.round, thread: thread, number: number)
    let batch = workload.batch(step, progress.life, thread: thread, number: number)
    let sequence = try store.append(batch)
    _ = ExpectedState.apply(step, progress.life, number: number, to: &keys)
    if step.syncs {
      try store.sync(through: sequence)
      progress.setDurable(thread, number)
    }
    if random.chance(0.3) { try checkKey() }
    if let (snapshot, keys, until) = held, number >= until {
      try checkSnapshot(snapshot, keys)
      held = nil
    } else if held == nil, random.chance(0.005) {
      held = (try store.snapshot(), keys, number + random.below(300))
    }
  }

  private mutating func checkKey() throws(StorageError) {
    let index = random.below(workload.keys)
    let key = workload.key(thread: thread, index: index)
    var value = Bytes()
    let begin = PosixFileSystem().secondsSinceEpoch
    let isFound = try store.get(key, into: &value)
    let time = begin...PosixFileSystem().secondsSinceEpoch
    check(index, isFound ? value : nil, keys[index], time, "get")
    if thread == 0 { progress[.checks] += 1 }
  }

  /// The snapshot must hold what its time's keys held, but for what has expired since.
  private func checkSnapshot(
    _ snapshot: Snapshot, _ keys: ExpectedState.Keys
  ) throws(StorageError) {
    let begin = PosixFileSystem().secondsSinceEpoch
    var found: [Int: Bytes] = [:]
    try snapshot.forEach(
      from: workload.key(thread: thread, index: 0),
      to: workload.key(thread: thread, index: workload.keys)
    ) { (entry) throws(StorageError) in
      guard let place = workload.place(entry.key), place.thread == thread else {
        fail("a foreign key \(entry.key) in a snapshot")
      }
      found[place.index] = entry.value
      return true
    }
    let time = begin...PosixFileSystem().secondsSinceEpoch
    for index in Set(found.keys).union(keys.keys) {
      check(index, found[index], keys[index], time, "snapshot")
    }
  }

  private func check(
    _ index: Int, _ value: Bytes?, _ expected: ExpectedState.Value?,
    _ time: ClosedRange<UInt64>, _ source: String
  ) {
    let key = workload.key(thread: thread, index: index)
    let version = value.flatMap { workload.version(of: $0, key: key) }
    if value != nil, version == nil { fail("a torn or foreign value by \(source) under \(index)") }
    guard ExpectedState.Value.agrees(expected, version, time) else {
      fail(
        "\(source) of \(index): expected \(String(describing: expected)), found "
          + String(describing: version))
    }
  }

  private func fail(_ text: String) -> Never {
    FileHandle.standardError.write(
      Data("round \(progress.life.round), thread \(thread), step \(number): \(text)\n".utf8))
    Foundation.exit(3)
  }
}
