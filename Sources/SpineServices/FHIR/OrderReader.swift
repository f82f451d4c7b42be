/// A prescription order read from a bundle: what the service decides upon, and who sent it.
public struct SignedOrder: Sendable {
  /// The message's identifier.
  public var messageID: MessageID
  /// The order.
  public var order: PrescriptionOrder
  /// The author.
  public var agent: Agent
}

/// Reads and checks a `prescription-order` bundle.
///
/// The checks run from the shape of the message to its content, the signature last: an order
/// that would be refused anyway is refused for that.
struct OrderReader {
  let bundle: FHIRBundle
  private let requests: [JSONValue]

  init(_ bundle: FHIRBundle) {
    self.bundle = bundle
    requests = bundle.all("MedicationRequest")
  }

  func read() -> Result<SignedOrder, SpineError> {
    do { return .success(try order()) } catch { return .failure(error) }
  }

  private func order() throws(SpineError) -> SignedOrder {
    guard (1...PrescriptionOrder.lineLimit).contains(requests.count), let first = requests.first
    else {
      throw SpineError(
        .wrongItemCount, "Expected 1 to 4 MedicationRequest resources, found \(requests.count)")
    }
    try checkRequests()
    guard let messageID = bundle.messageID.flatMap({ MessageID($0) }) else {
      throw SpineError(.invalidMessage, "Bundle.identifier must be a UUID")
    }
    let id = try prescriptionID()
    let patient = try patient()
    let treatment = try treatment()
    let lines = try lines(treatment)
    let organisation = try prescriber(first)
    let issues = treatment == .repeatDispensing ? (lines.compactMap(\.maxRepeats).max() ?? 1) : 1
    guard (1...99).contains(issues) else {
      throw SpineError(.repeatOutOfRange, "\(issues) issues; 1 to 99 are allowed")
    }
    let (signedTime, time) = try times(first)
    let performer = try performer()
    let request = first["dispenseRequest"]
    let order = PrescriptionOrder(
      prescriptionID: id.text,
      prescriptionType: first.extension("DM-PrescriptionType")?["valueCoding"]?["code"]?.string
        ?? "",
      treatment: treatment, time: time, signedTime: signedTime, organisation: organisation,
      issueCount: issues,
      daysSupply: request?["expectedSupplyDuration"]?["value"]?.integer ?? Timers.defaultDaysSupply,
      patient: patient, performer: performer,
      performerType: request?.extension("DM-PerformerSiteType")?["valueCoding"]?["code"]?.string,
      lines: lines)
    return SignedOrder(messageID: messageID, order: order, agent: agent(first, organisation))
  }

  // MARK: Requests

  private func checkRequests() throws(SpineError) {
    for request in requests {
      let intent = request["intent"]?.string ?? ""
      guard ["order", "original-order", "instance-order"].contains(intent) else {
        throw SpineError(
          .invalidValue, "MedicationRequest.intent must be order, original-order or instance-order."
        )
      }
      guard request["status"]?.string == "active" else {
        throw SpineError(.invalidValue, "MedicationRequest.status must be 'active'")
      }
    }
    // These must be one and the same in every item of a prescription.
    for (name, path) in [
      ("groupIdentifier", ["groupIdentifier", "value"]), ("subject", ["subject", "reference"]),
      ("requester", ["requester", "reference"]),
      ("dispenseRequest.performer", ["dispenseRequest", "performer", "identifier", "value"]),
      ("dispenseRequest.validityPeriod", ["dispenseRequest", "validityPeriod"]),
    ] where Set(requests.map { $0.value(at: path) }).count > 1 {
      throw SpineError(
        .invalidValue, "Expected all MedicationRequests to have the same value for \(name)")
    }
  }

  private func prescriptionID() throws(SpineError) -> PrescriptionID {
    guard let text = requests.first?["groupIdentifier"]?["value"]?.string else {
      throw SpineError(.invalidMessage, "MedicationRequest.groupIdentifier is missing")
    }
    do { return try PrescriptionID(text) } catch {
      switch error {
      case .malformed:
        throw SpineError(.invalidPrescriptionID, "'\(text)' is no prescription identifier")
      case .wrongCheckCharacter(let expected):
        throw SpineError(
          .badCheckDigit,
          "Unable to process message. Information missing or invalid - prescriptionID has invalid "
            + "checksum ('\(expected)' expected)")
      }
    }
  }

  private func treatment() throws(SpineError) -> PrescriptionOrder.Treatment {
    var courses: Set<String> = []
    for request in requests {
      guard let code = request["courseOfTherapyType"]?["coding"]?[0]?["code"]?.string,
        ["acute", "continuous", "continuous-repeat-dispensing"].contains(code)
      else {
        throw SpineError(.invalidValue, "MedicationRequest.courseOfTherapyType has no known code")
      }
      courses.insert(code)
    }
    guard courses.count == 1 || courses == ["acute", "continuous"] else {
      throw SpineError(
        .invalidValue,
        "Course of therapy type must either match for all MedicationRequests or be a mixture of "
          + "'acute' and 'continuous'.")
    }
    if courses.contains("continuous-repeat-dispensing") { return .repeatDispensing }
    return courses.contains("continuous") ? .repeatPrescribing : .acute
  }

  /// The items; FHIR counts the repeats after the first issue, the service counts issues.
  private func lines(
    _ treatment: PrescriptionOrder.Treatment
  ) throws(SpineError) -> [PrescriptionOrder.Line] {
    var lines: [PrescriptionOrder.Line] = []
    for request in requests {
      guard let id = request.identifier(in: FHIRSystem.item), MessageID.isUUID(id) else {
        throw SpineError(.invalidMessage, "MedicationRequest.identifier must hold the item's UUID")
      }
      let hasMedication =
        request["medicationCodeableConcept"]?["coding"]?[0]?["code"]?.string != nil
        || bundle.resolve(request["medicationReference"]) != nil
      guard hasMedication else {
        throw SpineError(.invalidValue, "item \(id) names no medication")
      }
      guard treatment == .repeatDispensing else {
        lines.append(.init(id: id.uppercased()))
        continue
      }
      guard let repeats = request["dispenseRequest"]?["numberOfRepeatsAllowed"]?.integer,
        repeats >= 0
      else {
        throw SpineError(.repeatOutOfRange, "numberOfRepeatsAllowed is missing from item \(id)")
      }
      lines.append(.init(id: id.uppercased(), maxRepeats: repeats + 1))
    }
    guard Set(lines.map(\.id)).count == lines.count else {
      throw SpineError(.duplicateItem, "two items have the same identifier")
    }
    return lines
  }
}

extension OrderReader {
  // MARK: People and times

  private func patient() throws(SpineError) -> PrescriptionOrder.Patient {
    guard let resource = bundle.first("Patient") else {
      throw SpineError(.invalidMessage, "the bundle has no Patient")
    }
    let number = resource.identifier(in: FHIRSystem.nhsNumber) ?? ""
    guard let nhs = NHSNumber(number) else {
      throw SpineError(.invalidValue, "'\(number)' is no NHS number")
    }
    if let date = resource["deceasedDateTime"]?.string
      ?? resource["deceasedBoolean"].flatMap({ $0 == .bool(true) ? "an unknown date" : nil })
    {
      throw SpineError(.patientDeceased, "the patient died on \(date)")
    }
    var birth: String?
    if let text = resource["birthDate"]?.string {
      guard let date = SpineTime(fhir: text) else {
        throw SpineError(.badDate, "birthDate '\(text)' is no date")
      }
      birth = date.date
    }
    let names = resource["name"]?.elements ?? []
    let name = names.first { $0["use"]?.string == "usual" } ?? names.first
    return PrescriptionOrder.Patient(
      nhsNumber: nhs.digits, birthDate: birth, family: name?["family"]?.string,
      given: name?["given"]?.elements.compactMap(\.string).joined(separator: " "),
      prefix: name?["prefix"]?[0]?.string)
  }

  private func prescriber(_ request: JSONValue) throws(SpineError) -> String {
    let role = bundle.resolve(request["requester"])
    let reference = role?["organization"]
    let organisation = bundle.resolve(reference)
    let code =
      organisation?.identifier(in: FHIRSystem.ods)
      ?? reference?.identifier(in: FHIRSystem.ods) ?? bundle.sender
    guard let code, let ods = ODSCode(code) else {
      throw SpineError(.invalidMessage, "the prescriber's organisation is missing")
    }
    return ods.text
  }

  private func agent(_ request: JSONValue, _ organisation: String) -> Agent {
    let role = bundle.resolve(request["requester"])
    let person = bundle.resolve(role?["practitioner"])
    return Agent(
      organisation: organisation,
      person: person?.identifier(in: "https://fhir.nhs.uk/Id/sds-user-id"),
      role: role?.identifier(in: "https://fhir.nhs.uk/Id/sds-role-profile-id"))
  }

  /// The nominated dispenser; the codes for "no nomination" carry none.
  private func performer() throws(SpineError) -> String? {
    let identifier = requests.first?["dispenseRequest"]?["performer"]?["identifier"]
    guard let code = identifier?["value"]?.string else { return nil }
    guard let ods = ODSCode(code) else {
      throw SpineError(.invalidValue, "'\(code)' is no ODS code")
    }
    return ods.text
  }

  /// When it was signed and from when it counts: the start of its validity, the day it was
  /// authored, or else the day it was signed.
  private func times(_ request: JSONValue) throws(SpineError) -> (signed: String, start: String) {
    let signature = bundle.all("Provenance").flatMap { $0["signature"]?.elements ?? [] }
      .first { $0["data"]?.string?.isEmpty == false }
    guard let signature else {
      throw SpineError(.missingSignature, "no Provenance resource with a signature")
    }
    guard let signed = signature["when"]?.string.flatMap({ SpineTime(fhir: $0) }) else {
      throw SpineError(.badDate, "Provenance.signature.when is no time")
    }
    let validity = request["dispenseRequest"]?["validityPeriod"]
    for field in ["start", "end"] {
      guard let text = validity?[field]?.string, SpineTime(fhir: text) == nil else { continue }
      throw SpineError(.badDate, "validityPeriod.\(field) '\(text)' is no date")
    }
    let start = (validity?["start"]?.string ?? request["authoredOn"]?.string).flatMap {
      SpineTime(fhir: $0)
    }
    return (signed.text, (start ?? signed).text)
  }
}
