import KVBase
import KVModel
import KVNode

/// One client: what it chooses to do, and the contexts it has.
struct Client {
  /// What a client has read of a key.
  struct Held {
    /// The context to send with a write.
    var context: VersionVector
    /// The writes that it covers, by the history.
    var covered: WriteSet
  }

  /// What a client has read of a register.
  struct HeldRegister {
    /// The context to send with a write.
    var context: VersionVector
    /// The operation that wrote what was there.
    var number: Int
  }

  /// What a client has read of a set.
  struct HeldType {
    /// The context to send with a removal.
    var context: VersionVector
    /// The changes whose elements were there.
    var changes: [Int]
  }

  /// What the client will do with the answer to a read.
  enum Intent: Equatable {
    /// Only look.
    case look
    /// Write the key, having seen the answer.
    case update
    /// Delete the key, having seen the answer.
    case delete
  }

  /// The client's choices.
  var random: SeededRandom
  /// What it has read, by key; it may be long outdated.
  var held: [Int: Held] = [:]
  /// What it has read of registers, by key.
  var registers: [Int: HeldRegister] = [:]
  /// What it has read of sets, by key.
  var heldTypes: [Int: HeldType] = [:]

  init(random: SeededRandom) { self.random = random }

  // MARK: Options

  mutating func getOptions(n: Int, wantsPrimaries: Bool) -> GetOptions {
    var options = GetOptions()
    options.timeout = timeout()
    if wantsPrimaries {
      options.pr = random.chance(0.5) ? .quorum : .count(UInt32(1 + random.below(n)))
      return options
    }
    options.r = replicas(n)
    if random.chance(0.1) { options.pr = replicas(n) }
    if random.chance(0.2) { options.notFoundOK = random.chance(0.5) }
    if random.chance(0.2), options.pr == nil { options.basicQuorum = random.chance(0.5) }
    if random.chance(0.1) { options.nodeConfirms = .count(UInt32(1 + random.below(n))) }
    if random.chance(0.1) { options.sloppyQuorum = false }
    return options
  }

  mutating func putOptions(n: Int, wantsPrimaries: Bool) -> PutOptions {
    var options = PutOptions()
    options.timeout = timeout()
    options.returnBody = random.chance(0.4)
    if wantsPrimaries {
      options.pw = random.chance(0.5) ? .quorum : .count(UInt32(1 + random.below(n)))
      return options
    }
    options.w = replicas(n)
    options.dw = replicas(n)
    if random.chance(0.15) { options.pw = replicas(n) }
    if random.chance(0.1) { options.nodeConfirms = .count(UInt32(1 + random.below(n))) }
    if random.chance(0.1) { options.sloppyQuorum = false }
    if random.chance(0.05) { options.ifNoneMatch = true }
    if random.chance(0.15) { options.syncOnWrite = [.all, .backend, .one][random.below(3)] }
    return options
  }

  mutating func deleteOptions(n: Int) -> DeleteOptions {
    var options = DeleteOptions()
    options.timeout = timeout()
    options.r = replicas(n)
    options.w = replicas(n)
    if random.chance(0.2) { options.rw = replicas(n) }
    return options
  }

  private mutating func timeout() -> Duration? {
    random.chance(0.3) ? .milliseconds(100 + random.below(1_500)) : nil
  }

  private mutating func replicas(_ n: Int) -> QuorumValue? {
    switch random.below(6) {
    case 0: .one
    case 1: .quorum
    case 2: .all
    case 3: .count(UInt32(1 + random.below(n)))
    default: nil
    }
  }

  /// The length of the next value.
  mutating func byteCount(limit: Int) -> Int {
    let least = WrittenValue.minimumByteCount
    return random.chance(0.8) ? least + random.below(56) : least + random.below(limit)
  }
}
