import KVBase
import KVCluster
import KVModel
import Testing

@Suite struct RegisterTests {
  private let value = RegisterValue(object: [1, 2], recent: [3])

  private func ballot(_ counter: UInt64, _ actor: UInt64 = 1) -> Ballot {
    Ballot(counter: counter, actor: actor)
  }

  private func register() -> Register { Register(cluster: 7, generation: 1) }

  @Test func `ballots are ordered by counter, then by actor`() {
    #expect(ballot(1, 9) < ballot(2, 1))
    #expect(ballot(2, 1) < ballot(2, 2))
    #expect(Ballot.zero < ballot(1, 0))
  }

  @Test func `a promise refuses everything below it`() {
    var register = register()
    let promised = register.prepare(ballot(5))
    let lower = register.prepare(ballot(4))
    let acceptedLower = register.accept(ballot(4), value)
    let again = register.prepare(ballot(5))
    let accepted = register.accept(ballot(5), value)
    #expect(promised && !lower && !acceptedLower && again && accepted)
    #expect(register.accepted == ballot(5) && register.value == value)
  }

  @Test func `an accepted ballot is a promise too`() {
    var register = register()
    let accepted = register.accept(ballot(5), value)
    let lower = register.prepare(ballot(4))
    #expect(accepted && !lower)
  }

  @Test func `merging keeps the highest promise and the latest value, in any order`() {
    var a = register()
    _ = a.accept(ballot(3), value)
    var b = register()
    _ = b.prepare(ballot(9))
    var ab = a
    ab.merge(b)
    var ba = b
    ba.merge(a)
    #expect(ab == ba)
    #expect(ab.promised == ballot(9) && ab.accepted == ballot(3) && ab.value == value)
  }

  @Test func `a seat of another generation takes over values and no promises`() {
    var register = register()
    _ = register.accept(ballot(3), value)
    _ = register.prepare(ballot(8))
    let moved = register.transplanted(to: 2)
    #expect(moved.generation == 2 && moved.promised == ballot(3) && moved.value == value)
  }

  @Test func `registers survive encoding, and damage is refused`() throws {
    var register = register()
    _ = register.accept(ballot(3), value)
    _ = register.prepare(ballot(8))
    let bytes = register.encoded()
    #expect(try Register(encoded: bytes) == register)
    for count in bytes.indices {
      #expect(throws: DecodingFailure.self) { try Register(encoded: Bytes(bytes.prefix(count))) }
    }
    // A record that has accepted more than it has promised is none.
    var broken = bytes
    broken[20] = 0
    #expect(throws: DecodingFailure.self) { try Register(encoded: broken) }
    #expect(throws: DecodingFailure.self) { try Register(encoded: [9] + bytes.dropFirst()) }
  }

  // MARK: Writes

  private let now = Now(
    instant: Instant(nanoseconds: 0), wallClock: WallClock(microseconds: 1_000))

  private func write(
    _ number: UInt64, context: VersionVector = VersionVector(), ifNoneMatch: Bool = false,
    ifNotModified: Bool = false, tombstone: Bool = false, byteLimit: Int = 1 << 20
  ) -> ConditionalWrite {
    ConditionalWrite(
      number: number, context: context,
      content: tombstone ? .tombstone(at: now.wallClock) : Content(value: [UInt8(number)]),
      ifNoneMatch: ifNoneMatch, ifNotModified: ifNotModified, byteLimit: byteLimit)
  }

  private func apply(_ write: ConditionalWrite, to value: RegisterValue) throws -> RegisterValue {
    var write = write
    guard case .changed(let next) = try write.effect(on: value, at: now) else {
      throw DecodingFailure(expected: "a change", offset: 0)
    }
    return next
  }

  private func effect(
    _ write: ConditionalWrite, _ value: RegisterValue
  ) throws -> ConditionalWrite.Effect {
    var write = write
    return try write.effect(on: value, at: now)
  }

  @Test func `each condition is decided by the present value`() throws {
    let empty = RegisterValue()
    let first = try apply(write(1), to: empty)
    let clock = try KVObject(encoded: first.object).clock
    let second = try apply(write(2, context: clock), to: first)
    let deleted = try apply(write(3, tombstone: true), to: second)
    #expect(try effect(write(4, ifNoneMatch: true), first) == .refused(.matchFound))
    #expect(try effect(write(4), first) == .refused(.failed))
    #expect(try effect(write(4, context: clock), second) == .refused(.failed))
    #expect(
      try effect(write(4, context: clock, ifNotModified: true), second) == .refused(.modified))
    #expect(try effect(write(4, ifNotModified: true), second) == .refused(.modified))
    #expect(try effect(write(4, context: clock, ifNotModified: true), empty) == .refused(.notFound))
    #expect(try effect(write(4, context: clock, tombstone: true), second) == .refused(.failed))
    #expect(try effect(write(4, tombstone: true), empty) == .unchanged)
    #expect(try effect(write(4, tombstone: true), deleted) == .unchanged)
    #expect(
      try KVObject(encoded: apply(write(4, ifNoneMatch: true), to: deleted).object).clock
        == VersionVector([Dot(actor: ConditionalWrite.actor, counter: 4)]))
    guard case .refused(.tooLarge) = try effect(write(5, byteLimit: 10), empty) else {
      Issue.record("an object over the limit is taken")
      return
    }
  }

  @Test func `a write recognises that an earlier round of it was chosen`() throws {
    var mine = write(1)
    guard case .changed(let chosen) = try mine.effect(on: RegisterValue(), at: now) else { return }
    let clock = try KVObject(encoded: chosen.object).clock
    let later = try apply(write(2, context: clock), to: chosen)
    #expect(try mine.effect(on: later, at: now) == .unchanged)
    #expect(later.recent == [1, 2])
  }

  @Test func `a write that too many others followed does not claim to have failed`() throws {
    var mine = write(1)
    _ = try mine.effect(on: RegisterValue(), at: now)
    var value = RegisterValue()
    for number in 2..<UInt64(3 + RegisterValue.recentLimit) {
      let clock = value.object.isEmpty ? VersionVector() : try KVObject(encoded: value.object).clock
      value = try apply(write(number, context: clock), to: value)
    }
    #expect(try mine.effect(on: value, at: now) == .unknown)
    #expect(value.recent.count == RegisterValue.recentLimit)
  }
}
