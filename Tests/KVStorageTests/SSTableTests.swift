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
    let bytes = Bytes(builder.finish())
    let memory = Block.allocate(bytes.count)
    bytes.withRaw { memory.copyMemory(from: $0) }
    return try #require(Block(adopting: RawBytes(start: memory.baseAddress, count: bytes.count)))
  }

  @Test(arguments: [1, 2, 3, 16, 1000])
  func `a search in a block finds what a search in the sorted keys finds`(interval: Int) throws {
    let all = keys(400, seed: 1)
    let stored = all.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
    let block = try block(stored, restartInterval: interval)
    for key in all + [[], [0xFF, 0xFF, 0xFF, 0xFF]] {
      let expected = stored.firstIndex { !$0.lexicographicallyPrecedes(key) }
      key.withRaw { raw in
        switch block.search(raw) {
        case .entry(let entry, let isEqual):
          #expect(String(decoding: entry.value, as: UTF8.self) == expected.map { "\($0)" })
          #expect(isEqual == (expected.map { stored[$0] } == key))
        case .beyondEnd: #expect(expected == nil)
        case .malformed: Issue.record("malformed at \(key)")
        }
      }
    }
  }

  @Test func `a filter misses no key and mistakes fewer than one in a hundred`() {
    let hashes = (0..<20_000).map { StableHash.mix(UInt64($0)) }
    let filter = BloomFilter.encode(hashes, bitsPerKey: 10)
    #expect(filter.count <= 20_000 * 10 / 8 + 2)
    filter.withRaw { filter in
      #expect(BloomFilter.isValid(filter))
      #expect(hashes.allSatisfy { BloomFilter.mayContain($0, filter) })
      let mistakes = (20_000..<120_000).count {
        BloomFilter.mayContain(StableHash.mix(UInt64($0)), filter)
      }
      #expect(mistakes < 1000, "\(mistakes) of 100,000")
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
