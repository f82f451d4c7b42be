import KVBase
import KVStorage

/// Knows what the store must hold, and compares all of it.
///
/// A thread appends its steps in order, so after a crash its keys must be as they were after some
/// step: the last acknowledged one or a later one, never between two.
struct Verifier {
  let workload: Workload
  /// For each thread, the version of each of its keys.
  private var expected: [[Int: Workload.Version]]

  init(workload: Workload) {
    self.workload = workload
    expected = Array(repeating: [:], count: workload.threads)
  }

  var keyCount: Int { expected.reduce(0) { $0 + $1.count } }

  /// Reads everything; returns what is wrong.
  ///
  /// The store's state becomes the expected one.
  mutating func verify(
    _ store: Store, round: Int, _ acknowledged: [Int]
  ) throws(StorageError) -> [String] {
    var problems: [String] = []
    var actual = [[Int: Workload.Version]](repeating: [:], count: workload.threads)
    try store.forEach { (entry) throws(StorageError) in
      guard let (thread, index) = place(entry.key),
        let version = workload.version(of: entry.value, key: entry.key)
      else {
        problems.append("a torn or foreign value under key \(entry.key)")
        return problems.count < 100
      }
      actual[thread][index] = version
      return true
    }
    try store.verify()
    for thread in 0..<workload.threads where problems.isEmpty {
      if let problem = match(
        thread, actual[thread], round: round, acknowledged: acknowledged[thread])
      {
        problems.append(problem)
      }
      try checkHeads(store, thread, &problems)
    }
    expected = actual
    return problems
  }

  private func place(_ key: Bytes) -> (thread: Int, index: Int)? {
    guard key.count == 9, Int(key[0]) < workload.threads else { return nil }
    let index = key[5...].reduce(0) { $0 << 8 | Int($1) }
    return self.workload.key(thread: Int(key[0]), index: index) == key ? (Int(key[0]), index) : nil
  }

  /// Applies the round's steps one after the other until the state is the one found.
  private func match(
    _ thread: Int, _ actual: [Int: Workload.Version], round: Int, acknowledged: Int
  ) -> String? {
    var state = expected[thread]
    var differing = Set(state.keys).union(actual.keys).filter { state[$0] != actual[$0] }
    var number = 0
    // A thread has few steps in flight, since it waits for the durability of every fourth.
    let last = acknowledged + Workload.maximumUnsynced + 1
    while true {
      if number >= acknowledged, differing.isEmpty { return nil }
      if number == last { break }
      number += 1
      for write in workload.step(round: round, thread: thread, number: number).writes {
        state[write.key] = write.isDelete ? nil : .init(round: round, number: number)
        if state[write.key] == actual[write.key] {
          differing.remove(write.key)
        } else {
          differing.insert(write.key)
        }
      }
    }
    let key = differing.min() ?? -1
    return """
      thread \(thread): acknowledged through step \(acknowledged), but the store matches no step \
      from there to \(last); \(differing.count) keys differ from the last, such as \(key): \
      expected \(String(describing: state[key])), found \(String(describing: actual[key]))
      """
  }

  /// Point reads take another path than the scan; some of them must agree with it.
  private func checkHeads(
    _ store: Store, _ thread: Int, _ problems: inout [String]
  ) throws(StorageError) {
    for index in stride(from: thread, to: workload.keys, by: 37) {
      let key = workload.key(thread: thread, index: index)
      let value = try store.get(key)
      let head = try store.head(key)
      if head != value.map({ Bytes($0.prefix(16)) }) { problems.append("head of \(key)") }
    }
  }
}
