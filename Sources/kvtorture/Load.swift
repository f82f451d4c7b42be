import KVBase
import KVClient
import KVModel
import Synchronization

/// Clients that read, write on what they read, and write blindly, and remember what was acknowledged.
final class Load: Sendable {
  /// How the operations ended.
  struct Counts: Sendable {
    var reads = 0
    var writes = 0
    var failedReads = 0
    var failedWrites = 0
    var unknownWrites = 0
    /// The longest time in which no write was acknowledged.
    var longestPause = Duration.zero
  }

  static let bucket = BucketID(name: Bytes("torture".utf8))

  let history = WriteHistory()
  private let client: KVClient
  private let keyCount: Int
  private let isPaused = Atomic(false)
  private let isOver = Atomic(false)
  private let busy = Atomic(0)
  private struct State {
    var counts = Counts()
    var latestWrite = ContinuousClock.now
    var lastFailure = "none"
  }
  private let state = Mutex(State())

  init(client: KVClient, keyCount: Int) {
    self.client = client
    self.keyCount = keyCount
  }

  var counts: Counts { state.withLock { $0.counts } }
  var lastFailure: String { state.withLock { $0.lastFailure } }

  /// Sets the bucket's properties: siblings, and copies on two nodes before a write is acknowledged.
  func prepare() async throws(KVClientError) {
    var properties = BucketProperties()
    properties.nVal = 3
    properties.allowMult = true
    properties.w = .quorum
    properties.dw = .quorum
    properties.nodeConfirms = .count(2)
    try await client.setProperties(properties, of: Self.bucket)
  }

  /// Runs the clients until ``stop()``.
  func run(clients: Int, seed: UInt64) async {
    await withTaskGroup { group in
      for number in 0..<clients {
        group.addTask {
          var random = SeededRandom(seed: StableHash.mix(seed &+ UInt64(number)))
          while !self.isOver.load(ordering: .relaxed) {
            self.busy.wrappingAdd(1, ordering: .sequentiallyConsistent)
            let isPaused = self.isPaused.load(ordering: .sequentiallyConsistent)
            if !isPaused { await self.operate(&random) }
            self.busy.wrappingSubtract(1, ordering: .sequentiallyConsistent)
            if isPaused { try? await Task.sleep(for: .milliseconds(20)) }
          }
        }
      }
    }
  }

  func stop() { isOver.store(true, ordering: .relaxed) }

  /// Lets no client begin anything until ``resume()``; returns when all have finished.
  func pause() async {
    isPaused.store(true, ordering: .sequentiallyConsistent)
    while busy.load(ordering: .sequentiallyConsistent) > 0 {
      try? await Task.sleep(for: .milliseconds(5))
    }
  }

  func resume() {
    state.withLock { $0.latestWrite = .now }
    isPaused.store(false, ordering: .sequentiallyConsistent)
  }

  // MARK: Operations

  static func name(_ key: Int) -> ObjectKey {
    ObjectKey(bucket: bucket, key: Bytes("k\(key)".utf8))
  }

  private func operate(_ random: inout SeededRandom) async {
    let key = random.below(keyCount)
    switch random.below(10) {
    case 0..<3: _ = await read(key)
    case 3..<9:
      guard let held = await read(key) else { return }
      await write(key, having: held.values, context: held.context)
    default: await write(key, having: [], context: nil)
    }
  }

  private func read(_ key: Int) async -> (values: [Int], context: CausalContext?)? {
    do throws(KVClientError) {
      let object = try await client.get(Self.name(key))
      state.withLock { $0.counts.reads += 1 }
      guard let object else { return ([], nil) }
      return (history.look(at: object.live.map(\.value), key: key), object.context)
    } catch {
      state.withLock { $0.counts.failedReads += 1 }
      await backOff(error)
      return nil
    }
  }

  private func write(_ key: Int, having values: [Int], context: CausalContext?) async {
    let number = history.begin(key: key, having: values)
    do throws(KVClientError) {
      try await client.put(
        Content(value: WriteHistory.value(number)), at: Self.name(key), context: context)
      history.end(number, .acknowledged)
      state.withLock { state in
        let now = ContinuousClock.now
        state.counts.writes += 1
        state.counts.longestPause = max(
          state.counts.longestPause, state.latestWrite.duration(to: now))
        state.latestWrite = now
      }
    } catch {
      if !error.isAmbiguous { history.end(number, .refused) }
      state.withLock {
        if error.isAmbiguous { $0.counts.unknownWrites += 1 } else { $0.counts.failedWrites += 1 }
      }
      await backOff(error)
    }
  }

  private func backOff(_ error: KVClientError) async {
    state.withLock { $0.lastFailure = "\(error)" }
    try? await Task.sleep(for: .milliseconds(50))
  }

  // MARK: Checking

  /// Reads every key from all its primaries and holds it against the history, while the load pauses.
  ///
  /// - Returns: the keys that could not be read in time.
  func check(within limit: Duration) async -> [Int] {
    let next = KeyCounter()
    let deadline = ContinuousClock.now + limit
    return await withTaskGroup(of: [Int].self) { group in
      for _ in 0..<32 {
        group.addTask {
          var unread: [Int] = []
          while let key = next.take(below: self.keyCount) {
            if await !self.check(key, until: deadline) { unread.append(key) }
          }
          return unread
        }
      }
      var all: [Int] = []
      for await part in group { all += part }
      return all.sorted()
    }
  }

  private func check(_ key: Int, until deadline: ContinuousClock.Instant) async -> Bool {
    var options = GetOptions()
    options.r = .all
    options.pr = .all
    while true {
      do throws(KVClientError) {
        let object = try await client.get(Self.name(key), options: options)
        history.checkWhole(object?.live.map(\.value) ?? [], key: key)
        return true
      } catch {
        guard ContinuousClock.now < deadline else { return false }
        await backOff(error)
      }
    }
  }
}

/// Hands out keys, each to one task.
final class KeyCounter: Sendable {
  private let next = Atomic(0)

  func take(below limit: Int) -> Int? {
    let key = next.wrappingAdd(1, ordering: .relaxed).oldValue
    return key < limit ? key : nil
  }
}
