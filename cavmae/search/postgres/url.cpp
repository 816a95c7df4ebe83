#include "cavmae/search/postgres/url.h"

#include "cavmae/core/secrets.h"

namespace cavmae {

bool is_postgres_url(std::string_view name) {
  return name.starts_with("postgresql://") || name.starts_with("postgres://");
}

std::string shown_url(const std::string& url) {
  const std::string shown = url_without_password(url);
  return shown.substr(0, shown.find('?'));
}

}  // namespace cavmae
