/// Reads a `prescription-order-update` bundle: exactly one item, with the reason.
struct CancelReader {
  let bundle: FHIRBundle

  init(_ bundle: FHIRBundle) { self.bundle = bundle }

  func read() -> Result<CancelInstruction, SpineError> {
    do { return .success(try instruction()) } catch { return .failure(error) }
  }

  private func instruction() throws(SpineError) -> CancelInstruction {
    let requests = bundle.all("MedicationRequest")
    guard requests.count == 1, let request = requests.first else {
      throw SpineError(
        .wrongItemCount, "Expected 1 MedicationRequest resource, found \(requests.count)")
    }
    guard let reason = request["statusReason"]?["coding"]?[0]?["code"]?.string else {
      throw SpineError(.invalidValue, "MedicationRequest.statusReason is missing")
    }
    let number = bundle.first("Patient")?.identifier(in: FHIRSystem.nhsNumber) ?? ""
    guard let nhs = NHSNumber(number) else {
      throw SpineError(.invalidValue, "'\(number)' is no NHS number")
    }
    guard let id = bundle.prescriptionID, (try? PrescriptionID(id)) != nil else {
      throw SpineError(.invalidPrescriptionID, "the prescription identifier is missing or wrong")
    }
    return CancelInstruction(
      prescriptionID: id, nhsNumber: nhs.digits,
      lineID: request.identifier(in: FHIRSystem.item)?.uppercased(), reason: reason)
  }
}

/// Reads a `dispense-notification` bundle: one MedicationDispense for each item.
struct DispenseReader {
  let bundle: FHIRBundle

  init(_ bundle: FHIRBundle) { self.bundle = bundle }

  func read() -> Result<(id: String, DispenseNotification), SpineError> {
    do { return .success(try notification()) } catch { return .failure(error) }
  }

  private func notification() throws(SpineError) -> (id: String, DispenseNotification) {
    let dispenses = bundle.all("MedicationDispense")
    guard !dispenses.isEmpty, let id = bundle.prescriptionID else {
      throw SpineError(.invalidMessage, "the bundle has no MedicationDispense with a prescription")
    }
    for name in ["EPS-TaskBusinessStatus", "DM-PrescriptionNonDispensingReason"]
    where Set(dispenses.map { $0.extension(name)?["valueCoding"]?["code"] }).count > 1 {
      let field =
        name.split(separator: "-").last.map { $0.prefix(1).lowercased() + $0.dropFirst() } ?? ""
      throw SpineError(
        .invalidValue,
        "Expected all MedicationDispenses to have the same value for "
          + "MedicationDispense.extension:\(field)")
    }
    var lines: [DispenseNotification.Line] = []
    for dispense in dispenses {
      let request = dispense["contained"]?.elements.first {
        $0["resourceType"]?.string == "MedicationRequest"
      }
      guard let item = request?.identifier(in: FHIRSystem.item) else {
        throw SpineError(.invalidMessage, "a MedicationDispense names no item")
      }
      guard let code = dispense["type"]?["coding"]?[0]?["code"]?.string,
        let status = LineStatus(rawValue: code)
      else { throw SpineError(.invalidValue, "item \(item) has no known dispense status") }
      lines.append(.init(id: item.uppercased(), status: status))
    }
    let repeats = dispenses.first?.extension("EPS-RepeatInformation")?["extension"]?.elements.first
    {
      $0["url"]?.string == "numberOfRepeatsAllowed"
    }
    let count = (repeats?["valueInteger"] ?? repeats?["valueUnsignedInt"])?.integer
    return (id, DispenseNotification(lines: lines, issueCount: count.map { $0 + 1 }))
  }
}

/// Reads a `Claim`: the prescription, the issue, and an endorsement for every item supplied.
struct ClaimReader {
  let root: JSONValue

  init(_ root: JSONValue) { self.root = root }

  func read() -> Result<(id: String, issue: Int?), SpineError> {
    do { return .success(try claim()) } catch { return .failure(error) }
  }

  private func claim() throws(SpineError) -> (id: String, issue: Int?) {
    let group = root["prescription"]?.extension("DM-GroupIdentifier")
    guard let id = group?.extension("shortForm")?["valueIdentifier"]?["value"]?.string else {
      throw SpineError(.invalidMessage, "Claim.prescription names no prescription")
    }
    for detail in (root["item"]?.elements ?? []).flatMap({ $0["detail"]?.elements ?? [] }) {
      let systems = (detail["programCode"]?.elements ?? []).compactMap {
        $0["coding"]?[0]?["system"]?.string
      }
      guard systems.contains(where: { $0.hasSuffix("medicationdispense-endorsement") }) else {
        throw SpineError(
          .invalidValue, "Claim.item.detail \(detail["sequence"]?.integer ?? 0) has no endorsement")
      }
    }
    let repeats = (root["item"]?[0]?["detail"]?[0])?.extension("EPS-RepeatInformation")
    let issued = repeats?.extension("numberOfRepeatsIssued")
    return (id, (issued?["valueInteger"] ?? issued?["valueUnsignedInt"])?.integer.map { $0 + 1 })
  }
}
