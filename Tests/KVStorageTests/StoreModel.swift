import KVBase
import KVStorage

/// The obvious store: a dictionary, and a clock that says which of its values have expired.
struct StoreModel {
  struct Value {
    var bytes: Bytes
    var headByteCount: Int
    var expiry: UInt64
  }

  private var values: [Bytes: Value] = [:]
  /// Seconds since 1970, as the store's file system tells them.
  var now: UInt64 = 0

  /// The entry of a key; nil when the key has no value now.
  subscript(key: Bytes) -> Entry? {
    guard let value = values[key], value.expiry == 0 || value.expiry > now else { return nil }
    return Entry(key: key, value: value.bytes, headByteCount: value.headByteCount)
  }

  var sorted: [Entry] {
    values.keys.sorted { $0.lexicographicallyPrecedes($1) }.compactMap { self[$0] }
  }

  func range(_ lower: Bytes, _ upper: Bytes?) -> [Entry] {
    sorted.filter { entry in
      !entry.key.lexicographicallyPrecedes(lower)
        && (upper.map { entry.key.lexicographicallyPrecedes($0) } ?? true)
    }
  }

  mutating func apply(_ operations: [ModelOperation]) {
    for operation in operations {
      switch operation {
      case .put(let key, let bytes, let head, let expiry):
        values[key] = Value(bytes: bytes, headByteCount: head, expiry: expiry)
      case .delete(let key): values[key] = nil
      case .deleteRange(let lower, let upper):
        values = values.filter { key, _ in
          key.lexicographicallyPrecedes(lower) || !key.lexicographicallyPrecedes(upper)
        }
      }
    }
  }
}

enum ModelOperation {
  /// Key, value, length of the head, and the second of expiry or 0.
  case put(Bytes, Bytes, Int, UInt64)
  case delete(Bytes)
  case deleteRange(Bytes, Bytes)
}

extension WriteBatch {
  init(_ operations: [ModelOperation]) {
    self.init()
    for operation in operations {
      switch operation {
      case .put(let key, let value, let head, let expiry):
        put(key, value, headByteCount: head, expiry: expiry == 0 ? nil : expiry)
      case .delete(let key): delete(key)
      case .deleteRange(let lower, let upper): deleteRange(lower, upper)
      }
    }
  }
}

/// Generates operations on a small set of keys of every shape.
struct OperationGenerator {
  var random: SeededRandom
  var keyCount = 200
  /// The second at which the next operation happens.
  var now: UInt64 = 0

  mutating func key() -> Bytes {
    let index = random.below(keyCount)
    switch index % 4 {
    case 0: return Bytes("key/\(index)".utf8)
    case 1: return Bytes("key/long/prefix/shared/by/many/\(index)".utf8)
    case 2: return Bytes([UInt8(index & 0xFF), 0, 0xFF])
    default: return Bytes(repeating: 0x61, count: index % 40)
    }
  }

  mutating func value() -> Bytes {
    let size = random.chance(0.05) ? random.below(9000) : random.below(120)
    if random.chance(0.5) { return Bytes(repeating: UInt8(random.below(256)), count: size) }
    return (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }

  mutating func operation() -> ModelOperation {
    if random.chance(0.02) {
      let (a, b) = (key(), key())
      if a != b { return a.lexicographicallyPrecedes(b) ? .deleteRange(a, b) : .deleteRange(b, a) }
    }
    if random.chance(0.25) { return .delete(key()) }
    let value = value()
    let expiry = random.chance(0.15) ? now + 1 + UInt64(random.below(200)) : 0
    return .put(key(), value, random.below(value.count + 1), expiry)
  }

  mutating func batch() -> [ModelOperation] {
    (0...random.below(4)).map { _ in operation() }
  }
}

func bytes(_ text: String) -> Bytes { Bytes(text.utf8) }
