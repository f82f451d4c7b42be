import KVBase
import KVModel
import Testing

@testable import KVCluster

@Suite struct PropertyTableTests {
  @Test func `tables that exchange what they lack become equal`() {
    for seed in 0..<50 as Range<UInt64> {
      var random = SeededRandom(seed: seed)
      var tables = [PropertyTable(), PropertyTable()]
      for _ in 0..<random.below(30) {
        let bucket = BucketID(name: [UInt8(random.below(8))])
        var values = BucketProperties()
        values.nVal = 1 + random.below(9)
        _ = tables[random.below(2)].set(
          random.below(4) == 0 ? nil : values, of: bucket, nonce: random.next())
      }
      let (newer, wanted) = tables[0].compare(tables[1].entries.map(\.stamp))
      let given = tables[1].entries(of: wanted)
      for entry in newer { _ = tables[1].merge(entry) }
      for entry in given { _ = tables[0].merge(entry) }
      #expect(tables[0] == tables[1])
      #expect(tables[0].digest == tables[1].digest)
    }
  }

  @Test func `a reset is not undone by an older entry`() throws {
    var table = PropertyTable()
    let bucket = BucketID(name: [1])
    let first = table.set(BucketProperties(), of: bucket, nonce: 9)
    let reset = table.set(nil, of: bucket, nonce: 1)
    #expect(reset?.counter == 2)
    let isTaken = try table.merge(#require(first))
    #expect(!isTaken)
    #expect(table.entries.map(\.properties) == [nil])
    let again = table.set(nil, of: bucket, nonce: 2)
    #expect(again == nil)
  }

  @Test func `a full table takes no further bucket`() {
    var table = PropertyTable()
    for index in 0..<PropertyTable.limit {
      let bucket = BucketID(name: [UInt8(index >> 8), UInt8(index & 255)])
      _ = table.set(BucketProperties(), of: bucket, nonce: 1)
    }
    #expect(table.entries.count == PropertyTable.limit)
    #expect(!table.hasRoom(for: BucketID(name: [255])))
    let refused = table.set(BucketProperties(), of: BucketID(name: [255]), nonce: 1)
    #expect(refused == nil)
  }
}
