# A Rails application with its own sessions, an encrypted cookie, and its own protection against
# forged requests, under puma.
#
# It shows a login as a browser does it: the page with the form, its token back with the form, a
# redirect, and the token for what follows out of the head of the page behind it. Every answer sets
# the cookie anew. A logout clears the browser's cookie only.

ENV["RAILS_ENV"] ||= "production"

require "securerandom"

require "action_controller/railtie"
require "puma"
require "puma/configuration"
require "puma/launcher"

USERS_MAX = 10_000_000
CART_MAX = 10

class Shop < Rails::Application
  config.load_defaults 6.1
  config.root = __dir__
  config.eager_load = true
  config.secret_key_base = SecureRandom.hex(64)
  config.logger = Logger.new(IO::NULL)
  # Without `secure`, because this is plain HTTP on the loopback interface.
  config.session_store :cookie_store, key: "_shop_session", expire_after: 15 * 60
end

class ShopController < ActionController::Base
  protect_from_forgery with: :exception
  rescue_from(ActionController::InvalidAuthenticityToken) { refuse :forbidden, "csrf" }
  before_action :require_user, except: %i[form login]

  def form
    render inline: <<~HTML
      <!DOCTYPE html>
      <html lang="en"><head><title>Log in</title></head><body>
      <%= form_with url: "/login" do |form| %>
      <label>Name <%= form.text_field :username %></label>
      <label>Password <%= form.password_field :password %></label>
      <%= form.submit "Log in" %>
      <% end %>
      </body></html>
    HTML
  end

  def login
    known = user?(params[:username], params[:password])
    return refuse(:unauthorized, "invalid_credentials") unless known

    # A session of before the login may be known to someone else: the user gets a new one.
    reset_session
    session[:user] = params[:username]
    session[:cart] = []
    redirect_to "/"
  end

  def home
    render inline: <<~HTML
      <!DOCTYPE html>
      <html lang="en"><head><title>Shop</title><%= csrf_meta_tags %></head>
      <body>Signed in as <%= session[:user] %></body></html>
    HTML
  end

  def me
    render json: { user: session[:user] }
  end

  def cart
    render json: { user: session[:user], items: session[:cart] }
  end

  def add
    session[:cart] = [*session[:cart], params[:item].to_s[0, 64]].last(CART_MAX)
    cart
  end

  def logout
    reset_session
    head :no_content
  end

  private

  def require_user
    refuse :unauthorized, "unauthorized" unless session[:user]
  end

  def refuse(status, error)
    render json: { error: error }, status: status
  end

  # user-N has the password password-N; a real server keeps a slow hash of each.
  def user?(username, password)
    number = /\Auser-(0|[1-9][0-9]{0,7})\z/.match(username.to_s)&.[](1)
    right = ActiveSupport::SecurityUtils.secure_compare(password.to_s, "password-#{number}")
    !number.nil? && number.to_i < USERS_MAX && right
  end
end

Shop.initialize!
Shop.routes.draw do
  root "shop#home"
  get "login", to: "shop#form"
  post "login", to: "shop#login"
  get "me", to: "shop#me"
  get "cart", to: "shop#cart"
  post "cart", to: "shop#add"
  post "logout", to: "shop#logout"
end

threads = Integer(ENV.fetch("THREADS", "8"))
configuration = Puma::Configuration.new do |puma|
  puma.bind "tcp://127.0.0.1:#{ENV["PORT"] || ARGV.first || 3000}"
  puma.threads threads, threads
  puma.app Shop
  # As behind a proxy: idle connections stay open for longer than the users of a load think.
  puma.persistent_timeout 65
  puma.quiet
end
launcher = Puma::Launcher.new(configuration, events: Puma::Events.new(StringIO.new, $stderr))
launcher.events.on_booted do
  puts "ready http://127.0.0.1:#{launcher.connected_ports.first}"
  $stdout.flush
end
launcher.run
