import KVBase

/// Makes patients and prescriptions out of a seed: the same seed, the same data, in any order.
///
/// Nothing here is real: NHS numbers are from the range that is never issued, telephone numbers
/// and addresses from those reserved for fiction, prescribers are the test sites.
public struct DemoGenerator: Sendable {
  let seed: UInt64
  let patientCount: Int
  /// The day the prescriptions are from, `YYYYMMDDHHMMSS`.
  let today: SpineTime

  static let pharmacyCount = 200
  private static let surnames = [
    "Smith", "Jones", "Taylor", "Brown", "Williams", "Wilson", "Johnson", "Davies", "Patel",
    "Robinson", "Wright", "Thompson", "Evans", "Walker", "White", "Roberts", "Green", "Hall",
    "Thomas", "Clarke", "Jackson", "Wood", "Harris", "Edwards", "Turner", "Martin", "Cooper",
    "Hill",
    "Ward", "Hughes", "Moore", "Clark", "King", "Harrison", "Lewis", "Baker", "Lee", "Allen",
    "Morris", "Khan", "Scott", "Watson", "Davis", "Parker", "James", "Bennett", "Young", "Phillips",
    "Richardson", "Mitchell",
  ]
  private static let given = [
    "Jane", "Olivia", "Amelia", "Isla", "Ava", "Mia", "Grace", "Freya", "Aisha", "Margaret",
    "Oliver", "George", "Arthur", "Noah", "Muhammad", "Leo", "Harry", "Jack", "William", "David",
  ]
  private static let areas = ["LS", "M", "B", "S", "NE", "BS", "NG", "L", "CF", "EX", "NR", "PL"]
  static let medicines = [
    ("39732311000001104", "Amoxicillin 250mg capsules"),
    ("322236009", "Paracetamol 500mg tablets"), ("324252006", "Azithromycin 250mg capsules"),
    ("322341003", "Co-codamol 30mg/500mg tablets"), ("325427002", "Prednisolone 5mg tablets"),
    ("39113611000001102", "Salbutamol 100micrograms inhaler CFC free"),
    ("317972000", "Furosemide 40mg tablets"), ("421341000", "Doxycycline 100mg tablets"),
    ("330286001", "Chloramphenicol 0.5% eye drops"), ("376689003", "Trazodone 50mg capsules"),
  ]

  /// A generator for a seed.
  public init(seed: UInt64, patientCount: Int, today: SpineTime) {
    precondition(patientCount > 0, "a demo needs patients, not \(patientCount)")
    self.seed = seed
    self.patientCount = patientCount
    self.today = today
  }

  private func random(_ kind: UInt64, _ index: Int) -> SeededRandom {
    SeededRandom(seed: StableHash.mix(seed ^ StableHash.mix(kind << 40 ^ UInt64(index))))
  }

  /// The NHS number of a patient: `9`, seven digits that walk their whole range, and the first
  /// digit that allows a check digit.
  func nhsNumber(_ patient: Int) -> String {
    let scattered = (patient &* 7_368_787 &+ Int(seed % 1_000_003)) % 10_000_000
    let body = "9" + SpineTime.padded(scattered, 7)
    for digit in 0...9 {
      let digits = (body + String(digit)).utf8.map { Int($0) - 48 }
      if let check = NHSNumber.checkDigit(of: digits), Set(digits + [check]).count > 1 {
        return body + "\(digit)\(check)"
      }
    }
    preconditionFailure("\(body) has no valid continuation")
  }

  /// A Patient resource at version 1.
  func patient(_ index: Int) -> JSONValue {
    var random = random(1, index)
    let number = nhsNumber(index)
    let isFemale = random.chance(0.51)
    let birth = CivilDate(daysSinceEpoch: -14_610 + random.below(32_000)).text
    let area = Self.areas[random.below(Self.areas.count)]
    let letters = ["A", "B", "D", "E", "H", "J", "N", "P", "R", "S"]
    let postcode =
      "\(area)\(1 + random.below(20)) \(random.below(10))"
      + letters[random.below(10)] + letters[random.below(10)]
    return [
      "resourceType": "Patient", "id": .string(number),
      "meta": ["versionId": "1", "security": [["code": "U"]]],
      "identifier": [
        ["system": .string(FHIRSystem.nhsNumber), "value": .string(number)]
      ],
      "name": [
        [
          "id": "N1", "use": "usual", "family": .string(surname(&random)),
          "given": [.string(Self.given[(isFemale ? 0 : 10) + random.below(10)])],
          "prefix": [isFemale ? "Ms" : "Mr"],
        ]
      ],
      "gender": isFemale ? "female" : "male",
      "birthDate": .string("\(birth.prefix(4))-\(birth.dropFirst(4).prefix(2))-\(birth.suffix(2))"),
      "address": [
        [
          "id": "A1", "use": "home", "postalCode": .string(postcode),
          "line": [.string("\(1 + random.below(200)) Example Street"), "Anytown"],
        ]
      ],
      "telecom": [
        [
          "id": "T1", "system": "phone", "use": "home",
          "value": .string("01632960\(SpineTime.padded(random.below(1000), 3))"),
        ]
      ],
      "generalPractitioner": [
        [
          "id": "G1", "type": "Organization",
          "identifier": [
            "system": .string(FHIRSystem.ods),
            "value": .string("Y\(SpineTime.padded(1 + random.below(300), 5))"),
          ],
        ]
      ],
    ]
  }

  /// Names by Zipf's law: the second half as often as the first, and so on.
  private func surname(_ random: inout SeededRandom) -> String {
    let weights = Self.surnames.indices.map { 1 / Double($0 + 1) }
    var point = Double(random.next() >> 11) * 0x1p-53 * weights.reduce(0, +)
    for (index, weight) in weights.enumerated() {
      point -= weight
      if point <= 0 { return Self.surnames[index] }
    }
    return Self.surnames[0]
  }

  /// The identifier of a prescription; its number is in the last part.
  func prescriptionID(_ index: Int) -> String {
    precondition(index < 1 << 20, "at most a million prescriptions, not \(index)")
    let first = StableHash.mix(seed ^ UInt64(index)) & 0xFF_FFFF
    let body =
      "\(Self.hex(first, 6))-Z9990\(1 + index % 2)-" + Self.hex(UInt64(index), 5)
    return body + String(PrescriptionID.checkCharacter(of: body) ?? "0")
  }

  /// The number of a prescription from its identifier or store key.
  func prescriptionIndex(_ id: String) -> Int? {
    let parts = id.split(separator: "-")
    return parts.count == 3 ? Int(parts[2].prefix(5), radix: 16) : nil
  }

  private static func hex(_ value: UInt64, _ width: Int) -> String {
    let digits = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }

  /// The pharmacy that dispenses a prescription, nominated or not.
  func pharmacy(_ index: Int) -> String {
    var random = random(2, index)
    return "FZ\(SpineTime.padded(random.below(Self.pharmacyCount), 3))"
  }

  /// A prescription order; three in five are nominated.
  func order(_ index: Int) -> PrescriptionOrder {
    var random = random(3, index)
    let patientIndex = random.below(patientCount)
    let repeats = random.chance(0.08)
    let treatment: PrescriptionOrder.Treatment =
      repeats ? .repeatDispensing : random.chance(0.15) ? .repeatPrescribing : .acute
    let issues = repeats ? 3 : 1
    let lines = (0..<1 + random.below(PrescriptionOrder.lineLimit)).map { line in
      PrescriptionOrder.Line(
        id: message("line \(line)", index).text, maxRepeats: repeats ? issues : nil)
    }
    return PrescriptionOrder(
      prescriptionID: prescriptionID(index), prescriptionType: "0101", treatment: treatment,
      time: today.text, signedTime: today.text, organisation: "Z9990\(1 + index % 2)",
      issueCount: issues, daysSupply: 28,
      patient: .init(
        nhsNumber: nhsNumber(patientIndex), birthDate: "19800420", family: surname(&random)),
      performer: random.chance(0.6) ? pharmacy(index) : nil, performerType: "P1", lines: lines)
  }

  /// The identifier of a message about a prescription, patient or record.
  func message(_ step: String, _ index: Int) -> MessageID {
    MessageID(derivedFrom: "demo", "\(seed)", step, "\(index)")
  }

  /// A signed bundle for an order, with a signature of the usual length.
  func bundle(_ order: PrescriptionOrder, _ index: Int) -> Bytes {
    var random = random(4, index)
    let items = order.lines.map { line -> JSONValue in
      let medicine = Self.medicines[random.below(Self.medicines.count)]
      return [
        "resource": [
          "resourceType": "MedicationRequest", "status": "active", "intent": "order",
          "identifier": [["system": .string(FHIRSystem.item), "value": .string(line.id)]],
          "groupIdentifier": ["value": .string(order.prescriptionID)],
          "medicationCodeableConcept": [
            "coding": [
              [
                "system": .string(FHIRSystem.snomed), "code": .string(medicine.0),
                "display": .string(medicine.1),
              ]
            ]
          ],
          "dosageInstruction": [["text": "One to be taken twice a day"]],
        ]
      ]
    }
    let signature = (0..<Self.signatureLength / 16).map { _ in
      Self.hex(random.next(), 16)
    }.joined()
    let bundle: JSONValue = [
      "resourceType": "Bundle", "type": "message",
      "identifier": ["value": .string(message("upload", index).text)],
      "entry": .array(
        items + [
          ["resource": ["resourceType": "Provenance", "signature": [["data": .string(signature)]]]]
        ]),
    ]
    return (try? JSONCoding.encode(bundle)) ?? []
  }

  private static let signatureLength = 2880

  /// A patient's summary: text of about 8 KB, the size of a compressed real one.
  func summary(_ index: Int, _ edition: Int) -> Bytes {
    var random = random(5, index &* 1009 &+ edition)
    var text = "{\"resourceType\":\"Bundle\",\"type\":\"document\",\"text\":\""
    while text.utf8.count < 8000 {
      text += Self.medicines[random.below(Self.medicines.count)].1 + ", "
    }
    return Bytes((text + "\"}").utf8)
  }

  /// A large record: 1.2 MB that do not compress.
  func largeRecord(_ index: Int) -> Bytes {
    var random = random(6, index)
    var bytes: Bytes = []
    bytes.reserveCapacity(1_200_000)
    while bytes.count < 1_200_000 {
      let word = random.next()
      for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> (8 * shift))) }
    }
    return bytes
  }
}
