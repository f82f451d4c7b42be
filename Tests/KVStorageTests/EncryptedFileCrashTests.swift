import KVBase
import KVStorage
import Testing

/// What a file may hold after a crash: each byte as in some state since the last that was durable.
private struct CrashModel {
  private var model = FileModel(longWriteByteCount: 20_000)
  /// The states since the last sync.
  private var states: [Bytes] = [[]]
  private var smallest = 0

  mutating func change(_ random: inout SeededRandom) -> FileChange { model.change(&random) }

  /// The change may be done in full or in part.
  mutating func attempt(_ change: FileChange) {
    var after = model
    after.apply(change)
    states.append(after.bytes)
    smallest = min(smallest, after.bytes.count)
  }

  mutating func succeed(_ change: FileChange) { model.apply(change) }

  mutating func sync() {
    states = [model.bytes]
    smallest = model.bytes.count
  }

  func check(_ found: Bytes, _ label: String) {
    #expect(found.count >= smallest, "durable bytes are lost, \(label)")
    let wrong = found.indices.first { index in
      if index >= smallest, found[index] == 0 { return false }
      return !states.contains { index < $0.count && $0[index] == found[index] }
    }
    #expect(wrong == nil, "byte \(wrong ?? 0) of \(found.count), \(label)")
  }
}

@Suite struct EncryptedFileCrashTests {
  /// Runs random changes until something fails, and returns what the file may hold then.
  private func run(
    _ fileSystem: EncryptedFileSystem, _ random: inout SeededRandom, failures: Int
  ) -> CrashModel? {
    var model = CrashModel()
    var failures = failures
    do throws(StorageError) {
      try fileSystem.createDirectory("/d")
      let file = try fileSystem.create("/d/f")
      try fileSystem.syncDirectory("/d")
      for _ in 0..<30 {
        var change = model.change(&random)
        model.attempt(change)
        do throws(StorageError) { try change.apply(to: file) } catch {
          guard failures > 0 else { throw error }
          failures -= 1
          // The same again, or something else in its place.
          if case .write(let content, let offset) = change, random.chance(0.5) {
            change = .write(content.map { $0 ^ 0x55 }, at: offset)
            model.attempt(change)
          }
          try change.apply(to: file)
        }
        model.succeed(change)
        guard random.chance(0.4) else { continue }
        try file.sync()
        model.sync()
      }
    } catch {}
    return model
  }

  @Test(arguments: [false, true])
  func `durable bytes survive a crash at any operation`(failsWrites: Bool) throws {
    for seed in UInt64(1)...300 {
      var random = SeededRandom(seed: seed)
      let base = CrashableFileSystem()
      base.injectFault(.powerOff, at: 4 + random.below(random.chance(0.3) ? 8 : 90))
      var failures = 0
      if failsWrites {
        failures = 3
        for _ in 0..<failures {
          base.injectFault(random.chance(0.5) ? .inputOutput : .diskFull, at: 7 + random.below(60))
        }
      }
      let model = run(.test(base, seed: seed), &random, failures: failures)
      let crashed = base.crash(random: &random)
      let label = "seed \(seed)"
      guard let model, try crashed.exists("/d/f") else { continue }
      do {
        model.check(try EncryptedFileSystem.test(crashed).readAll("/d/f"), label)
      } catch { Issue.record("\(error), \(label)") }
    }
  }
}
