#include "vault/canaries/invent.h"

#include <array>
#include <cstdio>
#include <string>

namespace holdfast::vault {
namespace {

using Words = std::span<const std::string_view>;

struct Town {
  std::string_view postal_code, city, region;
};

struct Land {
  std::string_view country;
  Words first, last, streets;
  std::span<const Town> towns;
  std::span<const std::string_view> phones;  // digits follow
  int phone_digits;
  bool number_first;  // of the house
};

constexpr std::string_view kFirstDe[] = {
    "Anna", "Birgit", "Claudia", "Daniel", "Elif",   "Florian", "Gabriele", "Hannes",
    "Ines", "Jannik", "Katrin",  "Lukas",  "Marion", "Niklas",  "Olga",     "Petra",
    "Ralf", "Sabine", "Thomas",  "Ursula", "Volker", "Wiebke",  "Yasemin",  "Zoe"};
constexpr std::string_view kLastDe[] = {
    "Albrecht", "Bergmann", "Conrad", "Dietrich", "Ebert",   "Fiedler", "Graf",     "Haas",
    "Ivanov",   "Jung",     "Keller", "Lorenz",   "Martens", "Neumann", "Ott",      "Pohl",
    "Reuter",   "Seidel",   "Thiele", "Ulrich",   "Voigt",   "Winkler", "Yildirim", "Zander"};
constexpr std::string_view kStreetsDe[] = {
    "Ahornweg",     "Bahnhofstraße", "Birkenallee", "Dorfstraße", "Eichenweg",    "Gartenstraße",
    "Goethestraße", "Hauptstraße",   "Kirchgasse",  "Lindenweg",  "Mühlenstraße", "Schulstraße"};
constexpr Town kTownsDe[] = {{"10115", "Berlin", "BE"},
                             {"20357", "Hamburg", "HH"},
                             {"28203", "Bremen", "HB"},
                             {"30451", "Hannover", "NI"},
                             {"40217", "Düsseldorf", "NW"},
                             {"50674", "Köln", "NW"},
                             {"60316", "Frankfurt am Main", "HE"},
                             {"70178", "Stuttgart", "BW"},
                             {"80469", "München", "BY"},
                             {"90429", "Nürnberg", "BY"},
                             {"01099", "Dresden", "SN"},
                             {"04177", "Leipzig", "SN"}};
constexpr std::string_view kPhonesDe[] = {"+493023125", "+496990009", "+494066969", "+492214710",
                                          "+498999998"};

constexpr std::string_view kFirstFr[] = {
    "Agathe",  "Bastien", "Camille", "David",   "Élodie", "Fabien",  "Gaëlle", "Hugo",
    "Inès",    "Julien",  "Karine",  "Laurent", "Manon",  "Nicolas", "Océane", "Pascal",
    "Quentin", "Romane",  "Sylvie",  "Thierry", "Ugo",    "Valérie", "Yann",   "Zoé"};
constexpr std::string_view kLastFr[] = {
    "Aubert",  "Barbier", "Colin",   "Dumas",   "Etienne",  "Faure", "Gauthier", "Huet",
    "Imbert",  "Jacquet", "Klein",   "Leroux",  "Marchand", "Noël",  "Olivier",  "Perrin",
    "Quentin", "Renard",  "Schmitt", "Tessier", "Urbain",   "Vidal", "Weber",    "Yvon"};
constexpr std::string_view kStreetsFr[] = {
    "rue des Acacias", "avenue de la Gare", "rue du Moulin",      "impasse des Lilas",
    "rue Victor Hugo", "chemin des Vignes", "rue de l'Église",    "boulevard Carnot",
    "place du Marché", "rue des Écoles",    "allée des Tilleuls", "rue Pasteur"};
constexpr Town kTownsFr[] = {
    {"75011", "Paris", "IDF"},      {"13006", "Marseille", "PAC"},   {"69003", "Lyon", "ARA"},
    {"31000", "Toulouse", "OCC"},   {"06000", "Nice", "PAC"},        {"44000", "Nantes", "PDL"},
    {"67000", "Strasbourg", "GES"}, {"34000", "Montpellier", "OCC"}, {"33000", "Bordeaux", "NAQ"},
    {"59800", "Lille", "HDF"},      {"35000", "Rennes", "BRE"},      {"38000", "Grenoble", "ARA"}};
constexpr std::string_view kPhonesFr[] = {"+33199000", "+33261910", "+33353010",
                                          "+33465710", "+33536490", "+33639980"};

constexpr std::string_view kFirstGb[] = {"Alice", "Ben",    "Chloe",    "Dylan", "Ellie",  "Finlay",
                                         "Grace", "Harry",  "Isla",     "Jack",  "Keira",  "Liam",
                                         "Megan", "Nathan", "Olivia",   "Priya", "Rhys",   "Sophie",
                                         "Tom",   "Usman",  "Victoria", "Will",  "Yasmin", "Zara"};
constexpr std::string_view kLastGb[] = {
    "Atkinson", "Barker",  "Chapman", "Dawson", "Ellis",     "Fletcher", "Gibson", "Hughes",
    "Iqbal",    "Jenkins", "Khan",    "Lawson", "Mason",     "Newton",   "Owens",  "Palmer",
    "Quinn",    "Reid",    "Shaw",    "Turner", "Underwood", "Vaughan",  "Walsh",  "Young"};
constexpr std::string_view kStreetsGb[] = {
    "Albert Road", "Beech Close", "Church Lane", "Elm Grove",   "Green Lane",   "High Street",
    "Mill Road",   "Oak Avenue",  "Park Street", "Queens Road", "Station Road", "Victoria Terrace"};
constexpr Town kTownsGb[] = {{"BS6 5JD", "Bristol", "BST"},
                             {"LS6 2AB", "Leeds", "LDS"},
                             {"M20 3JG", "Manchester", "MAN"},
                             {"NE2 2BR", "Newcastle upon Tyne", "NET"},
                             {"EH9 1QS", "Edinburgh", "EDH"},
                             {"CF24 3AA", "Cardiff", "CRF"},
                             {"S11 8PX", "Sheffield", "SHF"},
                             {"NG7 1QN", "Nottingham", "NGM"},
                             {"BN3 1FL", "Brighton and Hove", "BNH"},
                             {"OX4 1JG", "Oxford", "OXF"},
                             {"YO31 7EX", "York", "YOR"},
                             {"G12 8HL", "Glasgow", "GLG"}};
constexpr std::string_view kPhonesGb[] = {"+447700900", "+441134960", "+441144960", "+441154960",
                                          "+441174960", "+441214960", "+441314960"};

constexpr std::string_view kFirstSe[] = {
    "Agnes", "Björn", "Cecilia", "David", "Elin",   "Fredrik", "Gunilla", "Henrik",
    "Ida",   "Johan", "Karin",   "Leo",   "Malin",  "Niklas",  "Olle",    "Pia",
    "Robin", "Sofia", "Tobias",  "Ulla",  "Viktor", "Wilma",   "Ylva",    "Zara"};
constexpr std::string_view kLastSe[] = {
    "Ahlberg",  "Berglund", "Claesson",  "Dahl",    "Ekström",  "Forsberg", "Granqvist", "Holm",
    "Isaksson", "Jonsson",  "Kjellberg", "Lindahl", "Melin",    "Norberg",  "Olofsson",  "Palm",
    "Rosén",    "Sandberg", "Tegnér",    "Ullman",  "Vikström", "Wallin",   "Yilmaz",    "Åberg"};
constexpr std::string_view kStreetsSe[] = {
    "Björkvägen", "Drottninggatan", "Ekgatan",   "Granvägen", "Kungsgatan",  "Kyrkogatan",
    "Lindvägen",  "Parkvägen",      "Skolgatan", "Storgatan", "Strandvägen", "Östra vägen"};
constexpr Town kTownsSe[] = {
    {"116 45", "Stockholm", "AB"}, {"413 08", "Göteborg", "O"},    {"211 45", "Malmö", "M"},
    {"753 22", "Uppsala", "C"},    {"582 24", "Linköping", "E"},   {"703 61", "Örebro", "T"},
    {"722 11", "Västerås", "U"},   {"252 20", "Helsingborg", "M"}, {"903 26", "Umeå", "AC"},
    {"553 16", "Jönköping", "F"},  {"602 24", "Norrköping", "E"},  {"222 22", "Lund", "M"}};
constexpr std::string_view kPhonesSe[] = {"+468465004", "+464062804"};

constexpr std::string_view kFirstUs[] = {
    "Aaron", "Brooke",  "Caleb", "Destiny", "Ethan",  "Faith",   "Gavin",  "Hailey",
    "Isaac", "Jasmine", "Kyle",  "Leah",    "Marcus", "Natalie", "Owen",   "Paige",
    "Quinn", "Rachel",  "Sean",  "Tara",    "Uriel",  "Vanessa", "Wesley", "Zoey"};
constexpr std::string_view kLastUs[] = {
    "Alvarez", "Bennett",  "Carter",   "Diaz",   "Edwards",   "Foster", "Griffin", "Hayes",
    "Ingram",  "Jordan",   "Kim",      "Lopez",  "Murphy",    "Nguyen", "Ortiz",   "Perry",
    "Quigley", "Reynolds", "Sullivan", "Tucker", "Underhill", "Vargas", "Walsh",   "Yates"};
constexpr std::string_view kStreetsUs[] = {"Cedar Street",    "Cherry Lane",     "Elm Street",
                                           "Hillcrest Drive", "Lakeview Avenue", "Main Street",
                                           "Maple Avenue",    "Oakwood Drive",   "Park Avenue",
                                           "Pine Street",     "Sunset Drive",    "Walnut Street"};
constexpr Town kTownsUs[] = {
    {"97202", "Portland", "OR"},  {"60614", "Chicago", "IL"},      {"78704", "Austin", "TX"},
    {"02139", "Cambridge", "MA"}, {"80205", "Denver", "CO"},       {"30307", "Atlanta", "GA"},
    {"98103", "Seattle", "WA"},   {"19147", "Philadelphia", "PA"}, {"55408", "Minneapolis", "MN"},
    {"63104", "St. Louis", "MO"}, {"43202", "Columbus", "OH"},     {"27701", "Durham", "NC"}};
constexpr std::string_view kPhonesUs[] = {"+150355501", "+131255501", "+151255501", "+161755501",
                                          "+130355501", "+140455501", "+120655501", "+121555501"};

constexpr Land kLands[] = {{"DE", kFirstDe, kLastDe, kStreetsDe, kTownsDe, kPhonesDe, 3, false},
                           {"FR", kFirstFr, kLastFr, kStreetsFr, kTownsFr, kPhonesFr, 3, true},
                           {"GB", kFirstGb, kLastGb, kStreetsGb, kTownsGb, kPhonesGb, 3, true},
                           {"SE", kFirstSe, kLastSe, kStreetsSe, kTownsSe, kPhonesSe, 2, false},
                           {"US", kFirstUs, kLastUs, kStreetsUs, kTownsUs, kPhonesUs, 2, true}};

/// SplitMix64 (Steele, Lea, Flood 2014): enough to draw from lists.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    auto z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  template <class List>
  auto one_of(const List& list) {
    return list[below(list.size())];
  }

 private:
  std::uint64_t state_;
};

std::string padded(std::uint64_t number, int digits) {
  auto out = std::to_string(number);
  while (std::ssize(out) < digits) out.insert(out.begin(), '0');
  return out;
}

/// Lower-case ASCII; letters with marks as people write them in addresses.
std::string ascii(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 13> kPlain = {
      {{"ä", "ae"},
       {"ö", "oe"},
       {"ü", "ue"},
       {"ß", "ss"},
       {"é", "e"},
       {"É", "e"},
       {"è", "e"},
       {"ë", "e"},
       {"ï", "i"},
       {"ô", "o"},
       {"å", "a"},
       {"Å", "a"},
       {"Ö", "oe"}}};
  std::string out;
  while (!name.empty()) {
    bool known = false;
    for (const auto& [marked, plain] : kPlain)
      if (name.starts_with(marked)) {
        out += plain;
        name.remove_prefix(marked.size());
        known = true;
        break;
      }
    if (known) continue;
    const char c = name.front();
    if (c >= 'A' && c <= 'Z') out += static_cast<char>(c - 'A' + 'a');
    if (c >= 'a' && c <= 'z') out += c;
    name.remove_prefix(1);
  }
  return out;
}

}  // namespace

std::span<const std::string_view> enum_names(Locale) {
  static constexpr std::string_view kNames[] = {"de", "fr", "gb", "se", "us"};
  return kNames;
}

Invented invent(Locale locale, std::uint64_t seed) {
  const auto& land = kLands[static_cast<std::size_t>(locale)];
  Draw draw(seed);
  Invented out;
  out.first_name = draw.one_of(land.first);
  out.last_name = draw.one_of(land.last);
  const auto house = std::to_string(1 + draw.below(land.number_first ? 180 : 95));
  const std::string street(draw.one_of(land.streets));
  out.street = land.number_first ? house + ' ' + street : street + ' ' + house;
  const auto town = draw.one_of(land.towns);
  out.postal_code = town.postal_code;
  out.city = town.city;
  out.region = town.region;
  out.country = land.country;
  std::uint64_t numbers = 1;
  for (int i = 0; i < land.phone_digits; ++i) numbers *= 10;
  out.phone =
      std::string(draw.one_of(land.phones)) + padded(draw.below(numbers), land.phone_digits);
  out.birthday = std::to_string(1951 + draw.below(56)) + '-' + padded(1 + draw.below(12), 2) + '-' +
                 padded(1 + draw.below(28), 2);
  const auto first = ascii(out.first_name), last = ascii(out.last_name);
  switch (draw.below(4)) {
    case 0:
      out.mailbox = first + '.' + last;
      break;
    case 1:
      out.mailbox = first.substr(0, 1) + '.' + last + out.birthday.substr(2, 2);
      break;
    case 2:
      out.mailbox = first + last + std::to_string(1 + draw.below(99));
      break;
    default:
      out.mailbox = last + '.' + first;
      break;
  }
  return out;
}

}  // namespace holdfast::vault
