import KVBase
import KVModel
import Testing

@Suite struct KVObjectTests {
  static let a = VnodeID(rawValue: 1)
  static let b = VnodeID(rawValue: 2)

  func content(_ text: String, at time: UInt64 = 0) -> Content {
    Content(value: Bytes(text.utf8), lastModified: WallClock(microseconds: time))
  }

  func values(_ object: KVObject) -> [String] {
    object.siblings.map { String(decoding: $0.content.value, as: UTF8.self) }.sorted()
  }

  @Test func `a write that has seen the object replaces it, a blind one makes a sibling`() {
    var object = KVObject()
    object.write(content("one"), context: VersionVector(), by: Self.a)
    let seen = object.clock
    object.write(content("two"), context: seen, by: Self.a)
    #expect(values(object) == ["two"])
    for n in 3...6 { object.write(content("\(n)"), context: seen, by: Self.a) }
    #expect(
      values(object) == ["2wo", "3", "4", "5", "6"].map { $0 == "2wo" ? "two" : $0 }.sorted())
    object.write(content("all"), context: object.clock, by: Self.b)
    #expect(values(object) == ["all"])
    object.checkInvariants()
  }

  @Test func `merge keeps what either side has not seen go`() {
    var left = KVObject()
    left.write(content("x"), context: VersionVector(), by: Self.a)
    var right = left
    right.write(content("y"), context: right.clock, by: Self.b)
    left.write(content("z"), context: left.clock, by: Self.a)
    #expect(values(left.merging(right)) == ["y", "z"])
  }

  @Test(arguments: 0..<200) func `merge is commutative, associative, idempotent`(seed: Int) throws {
    var random = SeededRandom(seed: UInt64(seed))
    var replicas = [KVObject](repeating: KVObject(), count: 3)
    for step in 0..<20 {
      let at = random.below(3)
      if random.chance(0.4) {
        replicas[at] = replicas[at].merging(replicas[random.below(3)])
      } else {
        let context = random.chance(0.3) ? VersionVector() : replicas[random.below(3)].clock
        replicas[at].write(
          content("\(step)"), context: context, by: VnodeID(rawValue: UInt64(at + 1)))
      }
      replicas[at].checkInvariants()
    }
    let (x, y, z) = (replicas[0], replicas[1], replicas[2])
    #expect(x.merging(y) == y.merging(x))
    #expect(x.merging(y).merging(z) == x.merging(y.merging(z)))
    #expect(x.merging(x) == x)
    let (bytes, headByteCount) = x.encoded()
    #expect(try KVObject(encoded: bytes) == x)
    #expect(try KVObject.headByteCount(of: bytes) == headByteCount)
    #expect(try KVObject(encodedHead: Bytes(bytes.prefix(headByteCount))).clock == x.clock)
    for cut in 0..<bytes.count where cut % 7 == seed % 7 {
      #expect(throws: DecodingFailure.self) { try KVObject(encoded: Bytes(bytes.prefix(cut))) }
    }
  }

  @Test func `all fields of a content survive encoding`() throws {
    let full = Content(
      value: [1, 2], contentType: [3], charset: [], contentEncoding: [4],
      links: [Link(bucket: [5], key: nil, tag: [6])],
      userMetadata: [Pair(key: [7], value: nil)], indexes: [Pair(key: [8], value: [9])],
      isTombstone: true, vtag: [10], lastModified: WallClock(microseconds: 11))
    var object = KVObject()
    object.write(full, context: VersionVector(), by: Self.a)
    #expect(try KVObject(encoded: object.encoded().bytes) == object)
  }

  @Test func `the newest sibling is kept where siblings are not allowed`() {
    var object = KVObject()
    object.write(content("late", at: 9), context: VersionVector(), by: Self.a)
    object.write(content("early", at: 3), context: VersionVector(), by: Self.b)
    object.keepNewestSibling()
    #expect(values(object) == ["late"])
  }

  @Test func `a client's context comes back as it went out, and nothing else is accepted`() throws {
    let vector = VersionVector([Dot(actor: Self.b, counter: 3), Dot(actor: Self.a, counter: 1)])
    let bytes = vector.clientBytes
    #expect(try VersionVector(clientBytes: bytes) == vector)
    for index in bytes.indices {
      var damaged = bytes
      damaged[index] ^= 0x10
      #expect(throws: DecodingFailure.self) { try VersionVector(clientBytes: damaged) }
      #expect(throws: DecodingFailure.self) {
        try VersionVector(clientBytes: Bytes(bytes.prefix(index)))
      }
    }
  }
}
