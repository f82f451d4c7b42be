import KVBase
import KVStorage
import Synchronization

extension KeyRing {
  /// A ring of made-up keys, the first the current one.
  static func test(_ numbers: Int...) -> KeyRing {
    let keys = numbers.map(NodeKey.test)
    return KeyRing(current: keys[0], older: Array(keys.dropFirst()))
  }
}

extension NodeKey {
  static func test(_ number: Int) -> NodeKey {
    do { return try NodeKey(Bytes(repeating: UInt8(number), count: 32)) } catch {
      preconditionFailure("\(error)")
    }
  }
}

extension EncryptedFileSystem {
  /// One whose random bytes follow from the seed.
  static func test(
    _ base: CrashableFileSystem, keys: KeyRing = .test(1), seed: UInt64 = 0
  ) -> EncryptedFileSystem {
    let random = Mutex(SeededRandom(seed: seed))
    return EncryptedFileSystem(base, keys: keys) { count throws(StorageError) in
      random.withLock { random in
        (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      }
    }
  }
}
