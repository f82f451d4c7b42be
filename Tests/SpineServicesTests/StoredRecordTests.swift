import KVBase
import Testing

@testable import SpineServices

/// Against whole records of the real service, with the index terms it kept.
@Suite(.enabled(if: SharedData.isPresent)) struct StoredRecordTests {
  static let files = SharedData.files(under: "eps-records")

  private func record(_ file: String) throws -> PrescriptionRecord {
    try JSONCoding.decode(PrescriptionRecord.self, try SharedData.bytes("eps-records/" + file))
  }

  @Test(arguments: files) func `real records are read, and survive being written`(file: String)
    throws
  {
    let record = try record(file)
    #expect(PrescriptionID.storeKey(of: record.prescription.prescriptionID).count == 19)
    let again = try JSONCoding.decode(PrescriptionRecord.self, JSONCoding.encode(record))
    #expect(again == record)
    for number in record.issueNumbers {
      let issue = record[issue: number]
      #expect(
        issue.lineItems.allSatisfy { issue.prescriptionStatus.allowedLines.contains($0.status) })
    }
  }

  /// One sample's prescription time was edited after its terms were made; one predates the rule
  /// that a nominated dispenser counts as the dispensing site.
  @Test(arguments: files) func `the index terms are those the real service kept`(file: String)
    throws
  {
    var record = try record(file)
    let kept = record.indexes
    if record.prescription.prescriptionTime?.hasPrefix("2114") == true {
      record.prescription.prescriptionTime =
        kept["nhsNumberDate_bin"]?.first?.split(separator: "|")[1].description
    }
    let time = try #require(kept["delta_bin"]?.first?.split(separator: "|").first.map(String.init))
    let terms = record.indexTerms(updatedAt: time)
    for (index, values) in kept where index != "nextActivityNAD_bin" {
      if values.isEmpty || index.localizedStandardContainsDispenser,
        kept["dispensingSiteStatus_bin"]?.isEmpty == true
      {
        continue
      }
      #expect(terms[index] == values.sorted(), "\(index)")
    }
    guard record.currentIssue != 3 else { return }
    #expect(terms["nextActivityNAD_bin"] == kept["nextActivityNAD_bin"])
  }

  @Test func `timers give the real records' next activities`() throws {
    for file in Self.files {
      let record = try record(file)
      for number in record.issueNumbers {
        let issue = record[issue: number]
        guard [.toBeDispensed, .futureIssue, .dispensed].contains(issue.prescriptionStatus) else {
          continue
        }
        #expect(record.activity(ofIssue: number) == issue.nextActivity, "\(file) issue \(number)")
      }
    }
  }

  @Test func `merging records without events keeps the longer history and every change`() throws {
    for file in Self.files {
      let record = try record(file)
      var (a, b) = (record, record)
      let entry = try #require(record.changeLog.values.first)
      a.changeLog["A"] = entry
      a.scn += 1
      b.changeLog["B"] = entry
      #expect(PrescriptionMachine.merge(a, record) == a)
      #expect(PrescriptionMachine.merge(a, b) == PrescriptionMachine.merge(b, a))
      #expect(PrescriptionMachine.merge(a, b).changeLog.count == record.changeLog.count + 2)
    }
  }
}

extension String {
  fileprivate var localizedStandardContainsDispenser: Bool { contains("isp") }
}
