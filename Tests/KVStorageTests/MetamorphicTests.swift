import KVBase
import KVStorage
import Testing

/// The same operations under other options give the same answers.
@Suite struct MetamorphicTests {
  private func answers(_ options: StoreOptions, seed: UInt64, extraWork: Int) throws -> [Bytes] {
    let fileSystem = CrashableFileSystem()
    var store = try Store.open(at: "/s", fileSystem: fileSystem, options: options)
    var generator = OperationGenerator(random: SeededRandom(seed: seed), keyCount: 300)
    var answers: [Bytes] = []
    for step in 0..<800 {
      _ = try store.append(WriteBatch(generator.batch()))
      answers.append(try store.get(generator.key()) ?? [0])
      answers.append(try store.head(generator.key()) ?? [0])
      if step % 100 == 50 {
        let entries = try store.scan(from: generator.key(), limit: 20, .heads)
        answers += entries.flatMap { [$0.key, $0.value] }
      }
      if extraWork > 0, step % extraWork == 0 { _ = try store.performBackgroundWork() }
      if extraWork == 3, step % 250 == 249 {
        try store.close()
        store = try Store.open(at: "/s", fileSystem: fileSystem, options: options)
      }
    }
    return answers + (try store.scan().flatMap { [$0.key, $0.value] })
  }

  @Test(arguments: UInt64(1)...6)
  func `options do not change answers`(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let expected = try answers(StoreOptions(), seed: seed, extraWork: 0)
    for _ in 0..<3 {
      let options = StoreOptions.random(&random)
      let found = try answers(options, seed: seed, extraWork: random.below(4))
      #expect(found == expected, "seed \(seed), \(options)")
    }
  }
}
