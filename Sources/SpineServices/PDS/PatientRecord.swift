/// A patient's demographic record: the FHIR resource and what is needed to update and merge it.
///
/// **Invariants**: `version` is the base version plus the number of changes, so that a merge of two
/// forks has a version above both; every field that has changed has a stamp.
public struct PatientRecord: Codable, Hashable, Sendable {
  /// The Patient resource; its lists have items with ids.
  public var resource: JSONValue
  /// The version the record was created with.
  public var baseVersion: Int
  /// Changes by request identifier, the newest kept.
  public var changeLog: [String: PatientChange]
  /// The number of changes no longer in the log.
  public var prunedCount: Int
  /// The last change of each field that has changed.
  public var stamps: [String: FieldStamp]
  /// The last change, `YYYYMMDDHHMMSS`.
  public var time: String

  /// The most changes kept in the log.
  static let logLimit = 64

  /// A record as created or loaded, its version taken from the resource.
  public init(resource: JSONValue, time: SpineTime) {
    self.resource = resource
    baseVersion = resource["meta"]?["versionId"]?.string.flatMap { Int($0) } ?? 1
    changeLog = [:]
    prunedCount = 0
    stamps = [:]
    self.time = time.text
    self.resource.giveItemsIDs(seed: nhsNumber)
  }

  /// The version; one more with every accepted change.
  public var version: Int { baseVersion + prunedCount + changeLog.count }

  /// The NHS number.
  public var nhsNumber: String { resource["id"]?.string ?? "" }

  /// How confidential the record is.
  public var security: Confidentiality {
    resource["meta"]?["security"]?[0]?["code"]?.string.flatMap { Confidentiality(rawValue: $0) }
      ?? .unrestricted
  }

  /// The date of death, nil for the living.
  var deceasedDate: String? { resource["deceasedDateTime"]?.string }

  /// `1` informal, `2` formal, nil when no death was notified.
  var deathStatus: String? {
    let extensions = resource["extension"]?.elements ?? []
    let notice = extensions.first { $0["url"]?.string == PatientFields.deathNotification }
    let status = notice?["extension"]?.elements.first {
      $0["url"]?.string == "deathNotificationStatus"
    }
    return status?["valueCodeableConcept"]?["coding"]?[0]?["code"]?.string
  }

  /// The resource as a reader may see it: with its version, and stripped when restricted.
  public var visible: JSONValue {
    var visible = resource
    if visible["meta"] == nil { visible["meta"] = .object([:]) }
    visible["meta"]?["versionId"] = .string(String(version))
    guard security == .restricted || security == .veryRestricted else { return visible }
    for field in ["address", "telecom", "contact", "generalPractitioner"] { visible[field] = nil }
    let kept = (visible["extension"]?.elements ?? []).filter {
      !PatientFields.hiddenExtensions.contains($0["url"]?.string ?? "")
    }
    visible["extension"] = kept.isEmpty ? nil : .array(kept)
    return visible
  }
}

/// How confidential a record is, least first; raw values are the published codes.
public enum Confidentiality: String, Codable, Sendable, CaseIterable {
  case unrestricted = "U"
  case restricted = "R"
  case veryRestricted = "V"
  case invalidated = "REDACTED"

  var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// One accepted change of a patient's record.
public struct PatientChange: Codable, Hashable, Sendable {
  /// The version it gave the record.
  public var version: Int
  /// When, `YYYYMMDDHHMMSS`.
  public var time: String
  /// Who.
  public var agent: Agent
  /// The fields changed.
  public var fields: [String]
}

/// Which change a field's value is from: the order that decides between concurrent changes.
///
/// The version comes first, so that a change made in knowledge of another always stands; among
/// changes of the same version the higher authority, then the later time, then the identifier.
public struct FieldStamp: Codable, Hashable, Sendable, Comparable {
  /// The version the change gave the record.
  public var version: Int
  /// Whose word it was.
  public var authority: Int
  /// When it was made.
  public var time: String
  /// The request that made it.
  public var requestID: String

  /// The order of their texts.
  public static func < (a: FieldStamp, b: FieldStamp) -> Bool {
    (a.version, a.authority, a.time, a.requestID) < (b.version, b.authority, b.time, b.requestID)
  }
}

/// One version of a patient's record, for the history.
public struct PatientVersion: Codable, Hashable, Sendable, WrittenOnce {
  /// The version.
  public var version: Int
  /// When it came about.
  public var time: String
  /// The request that made it.
  public var requestID: String
  /// The resource.
  public var resource: JSONValue

  static func key(_ nhsNumber: String, _ version: Int) -> String {
    "\(nhsNumber)#\(SpineTime.padded(version, 8))"
  }
}

/// That an NHS number was replaced by another.
public struct Supersession: Codable, Hashable, Sendable {
  /// The number to use instead.
  public var target: String
}

/// Names in the Patient resource.
enum PatientFields {
  static let core = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-"
  static let deathNotification = core + "DeathNotificationStatus"
  static let pharmacies = [
    "NominatedPharmacy", "MedicalApplianceSupplier", "PreferredDispenserOrganization",
  ]
  .map { core + $0 }
  static let nominatedPharmacy = core + "NominatedPharmacy"
  static let hiddenExtensions = Set(
    pharmacies + ["http://hl7.org/fhir/StructureDefinition/patient-birthPlace"])
  /// Lists whose items the server identifies.
  static let itemLists = ["name", "address", "telecom", "contact", "generalPractitioner"]
}

extension JSONValue {
  /// Gives every list item that has none an id that follows from `seed` and its content.
  mutating func giveItemsIDs(seed: String) {
    for list in PatientFields.itemLists {
      guard case .array(var items)? = self[list] else { continue }
      for index in items.indices where items[index]["id"] == nil {
        let body = (try? JSONCoding.encode(items[index])) ?? []
        let hash = SHA256.hex(body + Array("\(seed)|\(list)|\(index)".utf8))
        items[index]["id"] = .string(String(hash.prefix(8)).uppercased())
      }
      self[list] = .array(items)
    }
  }

  /// The resource as fields that merge one by one: scalars by name, list items by id or url.
  func mergeFields() -> [String: JSONValue] {
    guard case .object(let members) = self else { return [:] }
    var fields: [String: JSONValue] = [:]
    for (name, value) in members {
      guard case .array(let items) = value else {
        fields[name] = value
        continue
      }
      for (index, item) in items.enumerated() {
        let id = item["id"]?.string ?? item["url"]?.string ?? String(index)
        fields["\(name)#\(id)"] = item
      }
    }
    return fields
  }

  /// The inverse of ``mergeFields()``; list items are ordered by their keys.
  init(mergeFields fields: [String: JSONValue]) {
    var members: [String: JSONValue] = [:]
    for key in fields.keys.sorted() {
      guard let value = fields[key] else { continue }
      let parts = key.split(separator: "#", maxSplits: 1).map(String.init)
      if parts.count == 1 {
        members[key] = value
      } else {
        members[parts[0]] = .array((members[parts[0]]?.elements ?? []) + [value])
      }
    }
    self = .object(members)
  }
}
