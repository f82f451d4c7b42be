import Foundation
public import KVBase

/// A FHIR file, recognised by its content: what kind of message it is, never by its name.
///
/// Reads the message format of the EPS FHIR API; what is not needed to decide is kept unread in the
/// document.
public enum FHIRMessage: Sendable {
  /// A bundle `prescription-order`: valid, or the reason it must be refused.
  case order(Result<SignedOrder, SpineError>, bundle: FHIRBundle)
  /// A bundle `prescription-order-update`.
  case cancellation(Result<CancelInstruction, SpineError>, bundle: FHIRBundle)
  /// A bundle `dispense-notification`.
  case dispenseNotification(
    Result<(id: String, DispenseNotification), SpineError>, bundle: FHIRBundle)
  /// A `Claim`.
  case claim(Result<(id: String, issue: Int?), SpineError>)
  /// `Parameters` for `Task/$release`: the dispenser, and one prescription or nil.
  case release(dispenser: String?, id: String?)
  /// A `Task` with status rejected.
  case giveBack(id: String?, reason: String?)
  /// A `Patient`.
  case patient(JSONValue)
  /// Anything else: replies, searches, examples of other services.
  case other(String)
  /// Not JSON, or not FHIR.
  case unreadable(String)

  /// Recognises a file's content.
  public init(_ bytes: Bytes) {
    guard let root = try? JSONParser.parse(bytes) else {
      self = .unreadable("not JSON")
      return
    }
    guard let type = root["resourceType"]?.string else {
      self = .unreadable("no resourceType")
      return
    }
    switch type {
    case "Bundle": self = Self.bundle(root)
    case "Claim": self = .claim(ClaimReader(root).read())
    case "Parameters": self = Self.parameters(root)
    case "Task" where root["status"]?.string == "rejected":
      self = .giveBack(
        id: root["groupIdentifier"]?["value"]?.string,
        reason: root["statusReason"]?["coding"]?[0]?["code"]?.string)
    case "Patient": self = .patient(root)
    default: self = .other(type)
    }
  }

  private static func bundle(_ root: JSONValue) -> FHIRMessage {
    let bundle = FHIRBundle(root)
    switch bundle.event {
    case "prescription-order": return .order(OrderReader(bundle).read(), bundle: bundle)
    case "prescription-order-update":
      return .cancellation(CancelReader(bundle).read(), bundle: bundle)
    case "dispense-notification":
      return .dispenseNotification(DispenseReader(bundle).read(), bundle: bundle)
    case let event?: return .other("Bundle \(event)")
    case nil:
      guard root["type"]?.string == "message" else { return .other("Bundle") }
      if root["entry"] == nil {
        return .order(
          .failure(SpineError(.missingField, "ResourceType Bundle must contain 'entry' field")),
          bundle: bundle)
      }
      guard bundle.first("MedicationRequest") != nil else { return .other("Bundle") }
      return .order(
        .failure(SpineError(.invalidMessage, "the bundle has no MessageHeader with an event")),
        bundle: bundle)
    }
  }

  private static func parameters(_ root: JSONValue) -> FHIRMessage {
    let parameters = root["parameter"]?.elements ?? []
    func parameter(_ name: String) -> JSONValue? { parameters.first { $0["name"]?.string == name } }
    guard let owner = parameter("owner"), parameter("status") != nil else {
      return .other("Parameters")
    }
    return .release(
      dispenser: owner["resource"]?.identifier(in: FHIRSystem.ods),
      id: parameter("group-identifier")?["valueIdentifier"]?["value"]?.string)
  }
}

/// Identifier and code systems of the format.
enum FHIRSystem {
  static let ods = "https://fhir.nhs.uk/Id/ods-organization-code"
  static let nhsNumber = "https://fhir.nhs.uk/Id/nhs-number"
  static let item = "https://fhir.nhs.uk/Id/prescription-order-item-number"
  static let structure = "https://fhir.nhs.uk/StructureDefinition/Extension-"
  static let snomed = "http://snomed.info/sct"
}

/// A message bundle: its resources by type and by reference.
public struct FHIRBundle: Sendable {
  /// The bundle's message identifier.
  public let messageID: String?
  /// The event of its header.
  public let event: String?
  let root: JSONValue
  let resources: [JSONValue]
  private let byReference: [String: JSONValue]

  init(_ root: JSONValue) {
    self.root = root
    let entries = root["entry"]?.elements ?? []
    resources = entries.compactMap { $0["resource"] }
    var references: [String: JSONValue] = [:]
    for entry in entries {
      guard let resource = entry["resource"] else { continue }
      if let url = entry["fullUrl"]?.string { references[url.lowercased()] = resource }
      if let id = resource["id"]?.string { references["urn:uuid:\(id)".lowercased()] = resource }
    }
    byReference = references
    messageID = root["identifier"]?["value"]?.string
    let header = resources.first { $0["resourceType"]?.string == "MessageHeader" }
    event = header?["eventCoding"]?["code"]?.string
  }

  func all(_ type: String) -> [JSONValue] {
    resources.filter { $0["resourceType"]?.string == type }
  }

  func first(_ type: String) -> JSONValue? {
    resources.first { $0["resourceType"]?.string == type }
  }

  /// The resource a reference (`{"reference": "urn:uuid:…"}`) points to.
  func resolve(_ reference: JSONValue?) -> JSONValue? {
    reference?["reference"]?.string.flatMap { byReference[$0.lowercased()] }
  }

  /// The prescription the bundle speaks of first.
  public var prescriptionID: String? {
    let request =
      first("MedicationRequest")
      ?? first("MedicationDispense")?["contained"]?.elements.first {
        $0["resourceType"]?.string == "MedicationRequest"
      }
    return request?["groupIdentifier"]?["value"]?.string
  }

  /// The ODS code of the sender in the header.
  var sender: String? {
    first("MessageHeader")?["sender"]?["identifier"]?["value"]?.string
  }
}

extension JSONValue {
  /// The value of the identifier of a system, in a resource's list or a single one.
  func identifier(in system: String) -> String? {
    if let single = self["identifier"], single["system"]?.string == system {
      return single["value"]?.string
    }
    return self["identifier"]?.elements.first { $0["system"]?.string == system }?["value"]?.string
  }

  /// The extension whose URL ends with a name.
  func `extension`(_ name: String) -> JSONValue? {
    self["extension"]?.elements.first { $0["url"]?.string?.hasSuffix(name) == true }
  }
}
