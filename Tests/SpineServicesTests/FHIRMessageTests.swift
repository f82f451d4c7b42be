import KVBase
import Testing

@testable import SpineServices

@Suite(.enabled(if: SharedData.isPresent)) struct FHIRMessageTests {
  private func order(_ path: String) throws -> Result<SignedOrder, SpineError> {
    guard case .order(let result, _) = FHIRMessage(try SharedData.bytes("eps/" + path)) else {
      Issue.record("\(path) is no order")
      return .failure(SpineError(.invalidMessage))
    }
    return result
  }

  private func refusal(_ path: String) throws -> SpineError? {
    guard case .failure(let error) = try order(path) else { return nil }
    return error
  }

  @Test func `every signed order that was answered with 200 is valid`() throws {
    var count = 0
    for file in SharedData.files(under: "eps") {
      guard file.contains("Process-Request-Send-200"),
        case .order(let result, _) = FHIRMessage(try SharedData.bytes("eps/" + file))
      else { continue }
      count += 1
      if case .failure(let error) = result { Issue.record("\(file): \(error)") }
    }
    #expect(count >= 30)
  }

  @Test func `the broken orders are refused with their published codes`() throws {
    #expect(
      try refusal("errors/1-Process-Request-Send-400_INVALID_CHECKSUM.json")?.spine
        == .badCheckDigit)
    #expect(
      try refusal("errors/2-Process-Request-Send-400_Invalid_Course_of_Therapy_mixed.json")?.spine
        == .invalidValue)
    #expect(
      try refusal("errors/2-Prepare-Request-400_Invalid_Course_of_Therapy_mixed.json")?.spine
        == .invalidValue)
    #expect(
      try refusal("errors/4-Process-Request-Send-400_invalid_intent.json")?.spine == .invalidValue)
    let five = SharedData.files(under: "eps").filter {
      $0.contains("bulk-translation/1-Process-Request")
    }
    #expect(try refusal(try #require(five.first))?.spine == .wrongItemCount)
    let deceased =
      "spec/errors/example-b-spine-error-patient-deceased/SendRequest-FhirMessageSigned.json"
    #expect(try refusal(deceased)?.spine == .patientDeceased)
  }

  @Test func `an order that only asks what to sign lacks a signature`() throws {
    let file = try #require(
      SharedData.files(under: "eps").first {
        $0.hasSuffix("clinical-practitioner/1-Prepare-Request-200_OK.json")
      })
    #expect(try refusal(file)?.spine == .missingSignature)
  }

  @Test func `an order is read with its items, times and parties`() throws {
    let signed = try order(
      "primary-care/acute/nominated-pharmacy/medical-prescriber/1-Process-Request-Send-200_OK.json"
    ).get()
    #expect(signed.messageID.text == "46183ABC-9FAD-4673-85DB-CE2CB6614732")
    #expect(signed.order.prescriptionID == "24F5DA-A83008-7EFE6Z")
    #expect(signed.order.lines.count == 4)
    #expect(signed.order.organisation == "A83008")
    #expect(signed.order.performer == "FA565")
    #expect(signed.order.performerType == "P1")
    #expect(signed.order.patient.nhsNumber == "5839945242")
    #expect(signed.order.patient.birthDate == "19480430")
    #expect(signed.order.time == "20221021000000")
    #expect(signed.order.signedTime == "20221021134700")
    #expect(signed.order.daysSupply == 10)
    #expect(signed.agent.role == "200102238987")
  }

  @Test func `repeats count from the second issue`() throws {
    let signed = try order("spec/prescribing/prescription-order/eRD-primary-example-req.json").get()
    #expect(signed.order.treatment == .repeatDispensing)
    #expect(signed.order.issueCount == 7)
  }

  @Test func `every file of the folder is recognised by its content`() throws {
    var kinds: [String: Int] = [:]
    for file in SharedData.files(under: "eps") {
      let kind =
        switch FHIRMessage(try SharedData.bytes("eps/" + file)) {
        case .order: "order"
        case .cancellation(.success, _): "cancellation"
        case .cancellation: "bad cancellation"
        case .dispenseNotification(.success, _): "dispense"
        case .dispenseNotification: "bad dispense"
        case .claim(.success): "claim"
        case .claim: "bad claim"
        case .release: "release"
        case .giveBack: "return"
        case .patient: "patient"
        case .other: "other"
        case .unreadable: "unreadable"
        }
      kinds[kind, default: 0] += 1
    }
    #expect(kinds["cancellation"] ?? 0 >= 12)
    #expect(kinds["bad cancellation"] == nil)
    #expect(kinds["dispense"] ?? 0 >= 6)
    #expect(kinds["bad dispense"] ?? 0 >= 1)
    #expect(kinds["claim"] ?? 0 >= 3)
    #expect(kinds["bad claim"] ?? 0 >= 1)
    #expect(kinds["release"] ?? 0 >= 5)
    #expect(kinds["return"] ?? 0 >= 3)
    // One file is a signature alone, which is no FHIR resource.
    #expect(kinds["unreadable"] ?? 0 <= 1)
  }

  @Test(arguments: [
    ("", "x"), ("[]", "x"), ("{", "x"),
    (#"{"resourceType":"Bundle","type":"message"}"#, "MISSING_FIELD"),
    (
      #"{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"MedicationRequest"}}]}"#,
      "INVALID_MESSAGE"
    ),
    (
      #"{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"MessageHeader","eventCoding":{"code":"prescription-order"}}}]}"#,
      "INVALID_NUMBER_MEDICATIONREQUESTS"
    ),
  ])
  func `incomplete input is told apart`(text: String, name: String) {
    switch FHIRMessage(Bytes(text.utf8)) {
    case .unreadable: #expect(name == "x")
    case .order(.failure(let error), _): #expect(error.spine?.name == name)
    default: Issue.record("\(text) was accepted")
    }
  }
}
