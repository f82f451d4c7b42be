import KVBase
import Testing

@testable import KVStorage

@Suite struct SSTableTests {
  private func keys(_ count: Int, seed: UInt64) -> [Bytes] {
    var generator = OperationGenerator(random: SeededRandom(seed: seed), keyCount: 100_000)
    return Set((0..<count).map { _ in generator.key() })
      .sorted { $0.lexicographicallyPrecedes($1) }
  }

  private func block(_ keys: [Bytes], restartInterval: Int) throws -> Block {
    var builder = BlockBuilder(restartInterval: restartInterval)
    for (index, key) in keys.enumerated() {
      let value = Bytes("\(index)".utf8)
      key.withRaw { key in
        value.withRaw { value in
          builder.append(
            EntryView(key: key, value: value, headByteCount: 1, sequence: 9, kind: .put))
        }
      }
    }
    let bytes = builder.finish()
    let memory = Block.allocate(bytes.count)
    memory.copyMemory(from: bytes)
    return try #require(
      Block(adopting: RawBytes(start: memory.baseAddress, count: bytes.count), as: .data))
  }

  @Test(arguments: [1, 2, 3, 16, 1000])
  func `a search in a block finds what a search in the sorted keys finds`(interval: Int) throws {
    let all = keys(400, seed: 1)
    let stored = all.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
    let block = try block(stored, restartInterval: interval)
    defer { withExtendedLifetime(block) {} }
    let data = try #require(block.data)
    for key in all + [[], [0xFF, 0xFF, 0xFF, 0xFF]] {
      let expected = stored.firstIndex { !$0.lexicographicallyPrecedes(key) }
      key.withRaw { raw in
        switch data.search(raw) {
        case .entry(let entry, let isEqual):
          #expect(String(decoding: entry.value, as: UTF8.self) == expected.map { "\($0)" })
          #expect(isEqual == (expected.map { stored[$0] } == key))
        case .beyondEnd: #expect(expected == nil)
        case .malformed: Issue.record("malformed at \(key)")
        }
      }
    }
  }

  @Test func `a filter of 10 bits a key misses none and mistakes fewer than one in a hundred`()
    throws
  {
    var worst = 0
    for count in [1000, 13_000, 100_000] {
      let hashes = (0..<count).map { hash($0) }
      let filter = BloomFilter.encode(hashes, bitsPerKey: 10)
      // Rounded up to a line, and two bytes that describe it.
      #expect(filter.count < count * 10 / 8 + 64 + 2)
      try filter.withRaw { raw in
        let filter = try #require(BloomFilter(raw))
        #expect(hashes.allSatisfy { filter.mayContain($0) })
        let mistakes = (count..<count + 1_000_000).count { filter.mayContain(hash($0)) }
        worst = max(worst, mistakes)
      }
    }
    #expect(worst < 10_000, "\(worst) of 1,000,000")
  }

  private func hash(_ number: Int) -> UInt64 {
    Bytes("key-\(1_000_000_000 + number)".utf8).withRaw { BloomFilter.hash($0) }
  }

  @Test func `a filter of one key fills one line`() {
    let filter = BloomFilter.encode([1], bitsPerKey: 10)
    #expect(filter.count == 66)
    filter.withRaw { #expect(BloomFilter($0)?.mayContain(1) == true) }
  }

  @Test(arguments: [0, 1, 5, 8, 9, 30])
  func `an index leads to the last block whose separator is not after the key`(
    prefixByteCount: Int
  ) throws {
    let prefix = Bytes(repeating: 0x70, count: prefixByteCount)
    var random = SeededRandom(seed: UInt64(prefixByteCount))
    // Short alphabets and zeros make separators that differ only in length or far behind.
    func key() -> Bytes { prefix + (0..<random.below(14)).map { _ in UInt8(random.below(2)) } }
    let separators = Set((0..<300).map { _ in key() }).sorted { $0.lexicographicallyPrecedes($1) }
    var builder = IndexBuilder()
    for (number, separator) in separators.enumerated() {
      separator.withRaw { builder.append($0, offset: number * 100) }
    }
    try builder.finish(end: separators.count * 100).withRaw { raw in
      let index = try #require(IndexBlock(raw))
      #expect(index.count == separators.count && index.endOffset == separators.count * 100)
      for key in separators + (0..<2000).map({ _ in key() }) + [[], [0x70], [0xFF], prefix] {
        let expected = separators.lastIndex { !key.lexicographicallyPrecedes($0) } ?? 0
        let found = key.withRaw { index.lastIndex(notAfter: $0) }
        #expect(found == expected, "\(key)")
        #expect(index.handle(found) == BlockHandle(offset: expected * 100, count: 91))
      }
    }
  }

  @Test func `a memtable keeps every version in order`() {
    let memtable = Memtable(seed: 1)
    var random = SeededRandom(seed: 2)
    var versions: [Bytes: [UInt64]] = [:]
    for sequence in 1...3000 {
      let key = Bytes("\(random.below(200))".utf8)
      versions[key, default: []].append(UInt64(sequence))
      key.withRaw {
        memtable.insert(
          EntryView(key: $0, value: $0, headByteCount: 0, sequence: UInt64(sequence), kind: .put))
      }
    }
    memtable.checkInvariants()
    #expect(memtable.entryCount == 3000)
    for (key, sequences) in versions {
      for limit in stride(from: UInt64(0), through: 3000, by: 111) {
        let found = key.withRaw { memtable.find($0, at: limit)?.sequence }
        #expect(found == sequences.last { $0 <= limit })
      }
    }
  }

  @Test func `keys compare as their bytes do`() {
    let all = keys(60, seed: 3) + [[], [0], [0, 0], Bytes(repeating: 7, count: 8)]
    for a in all {
      for b in all {
        let order = a.withRaw { a in b.withRaw { compareKeys(a, $0) } }
        #expect(
          order < 0
            ? a.lexicographicallyPrecedes(b) : order == 0 ? a == b : b.lexicographicallyPrecedes(a))
        let common = a.withRaw { a in b.withRaw { commonPrefixCount(a, $0) } }
        #expect(common == zip(a, b).prefix { $0 == $1 }.count)
      }
    }
  }
}
