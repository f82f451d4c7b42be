extension PrescriptionRecord {
  /// The index terms of the record, by index; one term per distinct issue status.
  ///
  /// The dispenser is who holds the issue, and until someone does, whom the patient nominated.
  ///
  /// **Source**: eps-spine-shared, `common/indexes.py`; names and formats are the real ones.
  func indexTerms(updatedAt time: String) -> [String: [String]] {
    var terms: [String: Set<String>] = [:]
    let patient = patient.nhsNumber
    if let next = nextActivity {
      terms["nextActivityNAD_bin"] = ["\(next.activity ?? "")_\(next.date ?? "")"]
    }
    terms["nhsNumber_bin"] = [patient]
    terms["delta_bin"] = ["\(time)|\(scn - 1)"]
    let prescriber = prescription.prescribingOrganization ?? ""
    let date = prescription.prescriptionTime ?? ""
    for number in issueNumbers {
      let issue = self[issue: number]
      let status = issue.prescriptionStatus.rawValue
      let tail = "\(date)|\(Self.release)|\(status)"
      func add(_ index: String, _ term: String) { terms[index, default: []].insert(term) }
      add("prescribingSiteStatus_bin", "\(prescriber)_\(status)")
      if nomination.nominated, let performer = nomination.nominatedPerformer {
        add("nomPharmStatus_bin", "\(performer)_\(status)")
      }
      guard prescription.prescriptionPresent else { continue }
      add("nhsNumberDate_bin", "\(patient)|\(tail)")
      add("nhsNumberPrescriberDate_bin", "\(patient)|\(prescriber)|\(tail)")
      add("prescriberDate_bin", "\(prescriber)|\(tail)")
      let holder = issue.dispense.dispensingOrganization ?? nomination.nominatedPerformer
      guard let dispenser = holder else { continue }
      add("dispensingSiteStatus_bin", "\(dispenser)_\(status)")
      add("dispenserDate_bin", "\(dispenser)|\(tail)")
      add("prescDispDate_bin", "\(prescriber)|\(dispenser)|\(tail)")
      add("nhsNumberDispenserDate_bin", "\(patient)|\(dispenser)|\(tail)")
      add("nhsNumberPrescDispDate_bin", "\(patient)|\(prescriber)|\(dispenser)|\(tail)")
    }
    return terms.mapValues { $0.sorted() }
  }

  /// The release version in index terms: the second, which all short identifiers belong to.
  private static let release = "R2"

  /// The terms as the store wants them, in a fixed order.
  var storedIndexes: [IndexTerm] {
    indexes.flatMap { field, values in values.map { IndexTerm(field, $0) } }.sorted()
  }
}
