import KVBase
import Testing

@testable import SpineServices

@Suite(.enabled(if: SharedData.isPresent)) struct LoaderTests {
  let store = MemoryBucketStore()

  private func load(_ folder: String) async throws -> [LoadRow] {
    let files = try SharedData.files(under: folder).map {
      (name: $0, bytes: try SharedData.bytes("\(folder)/\($0)"))
    }
    let spine = Spine(store: store)
    return await Loader(spine: spine, runsLifecycle: true).load(files)
  }

  @Test func `valid orders go through their life, broken ones are refused, again changes nothing`()
    async throws
  {
    let rows = try await load("eps")
    #expect(!rows.contains { $0.outcome == .failed })
    let accepted = rows.filter { $0.kind == "order" && $0.outcome == .accepted }
    #expect(accepted.count >= 40)
    #expect(accepted.allSatisfy { $0.steps == ["as above"] || $0.steps.count == 3 })
    for row in rows
    where row.file.contains("Process-Request-Send-400")
      || row.file.contains("Process-Request-Dispense-400")
    {
      #expect(row.outcome == .rejected, "\(row.file)")
    }
    for row in accepted {
      let record = try await Spine(store: store).prescriptions.record(row.id)
      #expect(record?.status == .claimed, "\(row.id)")
    }
    let writes = store.writeCount
    let again = try await load("eps")
    #expect(again.map(\.outcome) == rows.map(\.outcome))
    #expect(again.map(\.steps) == rows.map(\.steps))
    #expect(store.writeCount == writes)
  }

  @Test func `another message for a prescription that is there is a duplicate`() async throws {
    let path =
      "eps/secondary-care/community/acute/nominated-pharmacy/paramedic/1-Process-Request-Send-200_OK.json"
    let bytes = try SharedData.bytes(path)
    let text = String(decoding: bytes, as: UTF8.self)
    let other = text.replacing("a8156c34-", with: "b8156c34-")
    #expect(other != text)
    let rows = await Loader(spine: Spine(store: store), runsLifecycle: false)
      .load([("a", bytes), ("b", Bytes(other.utf8))])
    #expect(rows.map(\.outcome) == [.accepted, .rejected])
    #expect(rows.last?.code == "0002 DUPLICATE_PRESCRIPTION_ID")
  }
}
