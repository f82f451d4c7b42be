import KVBase
import KVStorage

/// Compares all that the store holds with what it must hold.
///
/// A thread appends its steps in order, so after a crash its keys must be as they were after some
/// step: the last one reported durable or a later one, never between two.
struct Verifier {
  let workload: Workload

  private typealias Found = [Int: Workload.Version]

  /// Reads everything; returns the state found to be the store's, or what is wrong.
  func verify(
    _ store: Store, _ expected: ExpectedState, _ progress: Progress
  ) throws(StorageError) -> (state: ExpectedState, problems: [String]) {
    var problems: [String] = []
    let begin = PosixFileSystem().secondsSinceEpoch
    let found = try scan(store, &problems)
    let time = begin...PosixFileSystem().secondsSinceEpoch
    try store.verify()
    var state = expected
    state.round = progress.life.round
    for thread in 0..<workload.threads where problems.isEmpty {
      switch match(thread, found[thread], expected.threads[thread], progress, time) {
      case .state(let keys): state.threads[thread] = keys
      case .problem(let problem): problems.append(problem)
      }
      try checkPoints(store, thread, state.threads[thread], &problems)
    }
    return (state, problems)
  }

  /// Demands that the store holds exactly a state.
  func recheck(_ store: Store, _ state: ExpectedState) throws(StorageError) -> [String] {
    var problems: [String] = []
    let begin = PosixFileSystem().secondsSinceEpoch
    let found = try scan(store, &problems)
    let time = begin...PosixFileSystem().secondsSinceEpoch
    for thread in 0..<workload.threads {
      let differing = differing(state.threads[thread], found[thread], time)
      if let key = differing.min() {
        problems.append(
          "upkeep changed \(differing.count) keys of thread \(thread), such as \(key)")
      }
      try checkPoints(store, thread, state.threads[thread], &problems)
    }
    return problems
  }

  private func scan(
    _ store: Store, _ problems: inout [String]
  ) throws(StorageError) -> [Found] {
    var found = [Found](repeating: [:], count: workload.threads)
    var strange: [String] = []
    try store.forEach { (entry) throws(StorageError) in
      guard let (thread, index) = workload.place(entry.key),
        let version = workload.version(of: entry.value, key: entry.key)
      else {
        strange.append("a torn or foreign value under key \(entry.key)")
        return strange.count < 100
      }
      found[thread][index] = version
      return true
    }
    problems += strange
    return found
  }

  private enum Match {
    case state(ExpectedState.Keys)
    case problem(String)
  }

  /// Applies the round's steps one after the other until the state is the one found.
  private func match(
    _ thread: Int, _ found: Found, _ before: ExpectedState.Keys, _ progress: Progress,
    _ time: ClosedRange<UInt64>
  ) -> Match {
    var state = before
    var differing = differing(state, found, time)
    let durable = progress.durable(thread)
    // A thread has few steps in flight, since it waits for the durability of every fourth.
    let last = durable + Workload.maximumUnsynced + 1
    for number in 0...last {
      if number > 0 {
        let step = workload.step(round: progress.life.round, thread: thread, number: number)
        for key in ExpectedState.apply(step, progress.life, number: number, to: &state) {
          if ExpectedState.Value.agrees(state[key], found[key], time) {
            differing.remove(key)
          } else {
            differing.insert(key)
          }
        }
      }
      if number >= durable, differing.isEmpty { return .state(state) }
    }
    let key = differing.min() ?? -1
    return .problem(
      """
      thread \(thread): durable through step \(durable), but the store matches no step from there \
      to \(last); \(differing.count) keys differ from the last, such as \(key): expected \
      \(String(describing: state[key])), found \(String(describing: found[key]))
      """)
  }

  private func differing(
    _ state: ExpectedState.Keys, _ found: Found, _ time: ClosedRange<UInt64>
  ) -> Set<Int> {
    Set(state.keys).union(found.keys)
      .filter { !ExpectedState.Value.agrees(state[$0], found[$0], time) }
  }

  /// Point reads take another path than the scan, and must agree with it.
  private func checkPoints(
    _ store: Store, _ thread: Int, _ state: ExpectedState.Keys, _ problems: inout [String]
  ) throws(StorageError) {
    var value = Bytes()
    for index in 0..<workload.keys {
      if problems.count > 100 { return }
      let key = workload.key(thread: thread, index: index)
      let begin = PosixFileSystem().secondsSinceEpoch
      let head = try store.head(key)
      let isFound = try store.get(key, into: &value)
      let time = begin...PosixFileSystem().secondsSinceEpoch
      let version = isFound ? workload.version(of: value, key: key) : nil
      if isFound, version == nil { problems.append("a torn value by get under \(key)") }
      if !ExpectedState.Value.agrees(state[index], version, time) {
        problems.append("get of \(key) disagrees with the scan")
      }
      let expires = state[index].map { $0.expiry != 0 } ?? false
      if head != (isFound ? Bytes(value.prefix(Workload.headByteCount)) : nil), !expires {
        problems.append("the head of \(key) is not its value's")
      }
    }
  }
}
